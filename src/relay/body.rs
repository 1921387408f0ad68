//! Reading a caller's body: at most the limit, in bounded time, and in so much memory for all of them together.

use super::error::ApiError;
use crate::kernel::Id;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a body may take to arrive.
const PATIENCE: Duration = Duration::from_secs(120);
/// How much of a body that is refused is read and thrown away, so that the client, still sending, gets to read the answer.
const DRAIN: usize = 64 * 1024 * 1024;
/// What is no longer than this needs no room of its own: a connection costs about as much.
const SMALL: usize = 64 * 1024;
/// So many bodies of the largest size have room at the same time.
const ROOM: usize = 16;
/// So many of them may be one customer's, whose requests are read before their number is limited.
const ROOM_OF_ONE: usize = 8;

/// The memory that bodies take, from their first byte until nothing refers to them any more.
#[derive(Debug)]
pub(super) struct Bodies {
    limit: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    of: HashMap<Id, usize>,
}

impl Bodies {
    /// Room for bodies of at most `limit` bytes each.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, held: Mutex::default() })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one body takes of it.
#[derive(Debug)]
struct Room {
    bodies: Arc<Bodies>,
    user: Id,
    bytes: usize,
}

impl Room {
    /// Takes more, so that it is `bytes` in all.
    fn grow(&mut self, bytes: usize) -> Result<(), ApiError> {
        let more = bytes.saturating_sub(self.bytes);
        let mut held = self.bodies.held();
        let of_one = held.of.get(&self.user).copied().unwrap_or(0).saturating_add(more);
        let all = held.all.saturating_add(more);
        if of_one > self.bodies.limit.saturating_mul(ROOM_OF_ONE) {
            return Err(ApiError::rate_limited("Too many large requests of yours are under way. Wait for one of them to end.", 1_000));
        }
        if all > self.bodies.limit.saturating_mul(ROOM) {
            return Err(ApiError::crowded());
        }
        held.all = all;
        held.of.insert(self.user, of_one);
        self.bytes = self.bytes.max(bytes);
        Ok(())
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut held = self.bodies.held();
        held.all = held.all.saturating_sub(self.bytes);
        let rest = held.of.get(&self.user).copied().unwrap_or(0).saturating_sub(self.bytes);
        match rest {
            0 => drop(held.of.remove(&self.user)),
            _ => drop(held.of.insert(self.user, rest)),
        }
    }
}

/// A large body, and its room.
struct Large {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Large {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Whether a refusal of [`read`] says that there is no room now: it counts in no limit.
pub(super) fn is_for_want_of_room(error: &ApiError) -> bool {
    matches!(error.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// The whole body.
///
/// # Errors
/// 413 over the limit, 429 or 503 when there is no room for it now, 408 when it takes too long, 400 when it breaks off.
pub(super) async fn read(headers: &HeaderMap, body: Body, bodies: &Arc<Bodies>, user: Id) -> Result<Bytes, ApiError> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()).and_then(|text| text.parse::<usize>().ok());
    let outcome = tokio::time::timeout(PATIENCE, collect(body, bodies, user, announced.unwrap_or(0))).await;
    outcome.unwrap_or_else(|_| Err(ApiError::body_timeout()))
}

async fn collect(mut body: Body, bodies: &Arc<Bodies>, user: Id, announced: usize) -> Result<Bytes, ApiError> {
    let mut seen = 0usize;
    let mut reading = Reading::new(bodies, user, announced);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::invalid(None, "The request body broke off."))?;
        let Ok(data) = frame.into_data() else { continue };
        seen = seen.saturating_add(data.len());
        match &mut reading {
            Ok(kept) => {
                if let Err(refused) = kept.take(&data, seen) {
                    reading = Err(refused);
                }
            }
            Err(_) if seen > bodies.limit.saturating_add(DRAIN) => break,
            Err(_) => {}
        }
    }
    reading.map(Reading::whole)
}

/// A body of which a part is here.
struct Reading<'a> {
    bodies: &'a Arc<Bodies>,
    user: Id,
    whole: BytesMut,
    room: Option<Room>,
}

impl<'a> Reading<'a> {
    /// Of a body that is said to be so long; what is too long says it by its bytes.
    fn new(bodies: &'a Arc<Bodies>, user: Id, announced: usize) -> Result<Self, ApiError> {
        let announced = if announced <= bodies.limit { announced } else { 0 };
        let mut reading = Self { bodies, user, whole: BytesMut::new(), room: None };
        reading.make_room(announced, announced)?;
        reading.whole.reserve(announced);
        Ok(reading)
    }

    /// Sees to it that there is room for so many bytes; where more has to be taken, `at_once` is.
    fn make_room(&mut self, bytes: usize, at_once: usize) -> Result<(), ApiError> {
        if bytes <= SMALL || self.room.as_ref().is_some_and(|room| room.bytes >= bytes) {
            return Ok(());
        }
        let room = self.room.get_or_insert_with(|| Room { bodies: Arc::clone(self.bodies), user: self.user, bytes: 0 });
        room.grow(at_once)
    }

    fn take(&mut self, data: &[u8], seen: usize) -> Result<(), ApiError> {
        if seen > self.bodies.limit {
            return Err(ApiError::too_large(self.bodies.limit));
        }
        // One of unknown length takes as much as its buffer will.
        self.make_room(seen, seen.checked_next_power_of_two().unwrap_or(seen).min(self.bodies.limit))?;
        self.whole.extend_from_slice(data);
        Ok(())
    }

    fn whole(self) -> Bytes {
        let bytes = self.whole.freeze();
        match self.room {
            Some(room) => Bytes::from_owner(Large { bytes, _room: room }),
            None => bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 1024 * 1024;

    #[test]
    fn room_is_given_back_with_the_last_that_refers_to_the_body() {
        let bodies = Bodies::new(LIMIT);
        let read = |user: i64, announced: usize| {
            let mut reading = Reading::new(&bodies, Id(user), announced)?;
            let data = vec![7; LIMIT];
            reading.take(&data, LIMIT)?;
            Ok::<_, ApiError>(reading.whole())
        };
        let mut kept: Vec<Bytes> = (0..ROOM_OF_ONE).map(|_| read(1, LIMIT).unwrap()).collect();
        assert_eq!(read(1, LIMIT).unwrap_err().status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(read(1, 0).unwrap_err().status, StatusCode::TOO_MANY_REQUESTS, "one that does not say how long it is");
        let others: Vec<Bytes> = (0..ROOM - ROOM_OF_ONE).map(|n| read(2 + n as i64, 0).unwrap()).collect();
        assert_eq!(read(99, LIMIT).unwrap_err().status, StatusCode::SERVICE_UNAVAILABLE);
        let part = kept.pop().unwrap().slice(5..6);
        assert!(read(1, LIMIT).is_err(), "a part keeps the whole");
        drop(part);
        drop(others);
        kept.push(read(1, LIMIT).unwrap());
        drop(kept);
        let held = bodies.held();
        assert!(held.all == 0 && held.of.is_empty(), "{held:?}");
    }

    #[test]
    fn what_is_small_needs_no_room_and_what_is_too_large_gets_none() {
        let bodies = Bodies::new(LIMIT);
        let mut small = Reading::new(&bodies, Id(1), SMALL).unwrap();
        small.take(&vec![1; SMALL], SMALL).unwrap();
        assert!(small.room.is_none() && small.whole().len() == SMALL);
        let mut large = Reading::new(&bodies, Id(1), usize::MAX).unwrap();
        assert_eq!(large.take(&[1], LIMIT + 1).unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
    }
}
