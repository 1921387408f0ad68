//! Reading a caller's body: at most the limit, in bounded time.

use super::error::ApiError;
use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::time::Duration;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(120);
/// How much of a body that is too large is read and thrown away, so that the client, still sending, gets to read the answer.
const DRAIN: usize = 64 * 1024 * 1024;

/// The whole body.
///
/// # Errors
/// 413 over `limit` bytes, 408 when it takes too long, 400 when it breaks off.
pub(super) async fn read(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<usize>().ok());
    let outcome = tokio::time::timeout(PATIENCE, collect(body, limit, announced.unwrap_or(0))).await;
    outcome.unwrap_or_else(|_| Err(ApiError::body_timeout()))
}

async fn collect(mut body: Body, limit: usize, announced: usize) -> Result<Bytes, ApiError> {
    let mut whole = BytesMut::with_capacity(if announced <= limit { announced } else { 0 });
    let mut seen = 0usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::invalid(None, "The request body broke off."))?;
        let Ok(data) = frame.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        if seen > limit {
            whole = BytesMut::new();
            if seen > limit.saturating_add(DRAIN) {
                break;
            }
        } else {
            whole.extend_from_slice(&data);
        }
    }
    if seen > limit { Err(ApiError::too_large(limit)) } else { Ok(whole.freeze()) }
}
