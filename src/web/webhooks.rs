//! `/webhooks/stripe`: where the payment provider's messages arrive. Signed by it, not by a session: the raw body decides.

use crate::payments::{Payments, ReceiveError};
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use tokio_util::task::TaskTracker;

/// The largest message that is read: providers' are a few kilobytes.
const MOST: usize = 1 << 20;

/// What the door needs.
#[derive(Clone, Debug)]
pub struct Door {
    /// Takes the messages.
    pub payments: Payments,
    /// A shutdown waits for what is handled.
    pub tasks: TaskTracker,
}

/// `POST /webhooks/stripe`: 2xx only when the message is stored. It is handled afterwards, at once where nothing is in the way.
pub async fn stripe(State(door): State<Door>, headers: HeaderMap, body: Body) -> (StatusCode, &'static str) {
    let Ok(body) = to_bytes(body, MOST).await else { return (StatusCode::PAYLOAD_TOO_LARGE, "too large") };
    match door.payments.receive(&headers, &body).await {
        Ok(received) => {
            let payments = door.payments.clone();
            door.tasks.spawn(async move {
                if let Err(error) = payments.handle(received.id).await {
                    tracing::warn!(%error, message = %received.id, "a message waits");
                }
            });
            (StatusCode::OK, "ok")
        }
        Err(ReceiveError::Rejected(why)) => {
            tracing::warn!(%why, "a message that claims to be the payment provider's was refused");
            (StatusCode::BAD_REQUEST, "not accepted")
        }
        Err(ReceiveError::Database(error)) => {
            tracing::error!(%error, "a message of the payment provider could not be stored; it will send it again");
            (StatusCode::SERVICE_UNAVAILABLE, "try again")
        }
    }
}
