//! Requests that come to nothing before a channel is looked for, and the rows that they leave.
//!
//! One that is wrong in itself counts in the limits like any other, and leaves its row. One that a limit turns away, or that comes from an address from which the key may
//! not be called, counts in nothing: it could come as often as somebody likes, so only so many of them leave rows, and the next row says how many did not.

use super::error::ApiError;
use super::operation::Operation;
use super::pipeline::first_of;
use super::{Relay, admit};
use crate::kernel::{Id, Usage};
use crate::keys::Entry;
use crate::relay::charge::{Call, operation_word};
use crate::relay::route::Decision;
use crate::usage::{Detail, Outcome, Record};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// So many requests of a key leave rows in a minute although they were turned away.
const ROWS_PER_MINUTE: u32 = 30;
/// Keys that are remembered: about as many as are turned away within a minute.
const KEYS: usize = 10_000;
const MINUTE: i64 = 60_000;

/// Which requests that were turned away leave rows, on this node.
#[derive(Debug, Default)]
pub(super) struct TurnedAway(Mutex<HashMap<Id, Counted>>);

#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    minute: i64,
    rows: u32,
    /// Without a row since the last one that has one.
    without: u64,
}

impl TurnedAway {
    /// Counts one of a key: whether it leaves a row, and how many before it did not.
    fn count(&self, key: Id, now_ms: i64) -> Option<u64> {
        let minute = now_ms.div_euclid(MINUTE);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= KEYS && !all.contains_key(&key) {
            all.retain(|_, counted| counted.minute == minute);
            // More keys than that within a minute: these leave no rows, and nobody counts them.
            if all.len() >= KEYS {
                return None;
            }
        }
        let counted = all.entry(key).or_default();
        if counted.minute != minute {
            (counted.minute, counted.rows) = (minute, 0);
        }
        if counted.rows == ROWS_PER_MINUTE {
            counted.without += 1;
            return None;
        }
        counted.rows += 1;
        Some(std::mem::take(&mut counted.without))
    }
}

/// What is known of a request before its call.
pub(super) struct Blank<'a> {
    pub(super) relay: &'a Relay,
    pub(super) id: Id,
    pub(super) key: &'a Entry,
    pub(super) operation: Operation,
    pub(super) started_ms: i64,
}

impl<'a> Blank<'a> {
    /// Of a call that has come to nothing.
    pub(super) fn of(relay: &'a Relay, call: &Call, key: &'a Entry) -> Self {
        Self { relay, id: call.id, key, operation: call.envelope.operation, started_ms: call.started_ms }
    }

    /// Of a request that is wrong in itself, and that no limit has counted yet. When a limit is reached, that is what its caller is told instead.
    pub(super) async fn refuse(&self, model: &str, streamed: bool, error: ApiError) -> ApiError {
        let tongue = self.operation.tongue();
        match admit::admit(self.relay, self.key, 0, tongue).await {
            Ok(permit) => {
                let limits = admit::headers(tongue, &permit.rates(), self.started_ms);
                self.leave(model, streamed, error.with_headers(limits)).await
            }
            Err(exceeded) => self.turn_away(model, streamed, exceeded).await,
        }
    }

    /// Of a request that counts in no limit.
    pub(super) async fn turn_away(&self, model: &str, streamed: bool, error: ApiError) -> ApiError {
        let Some(without) = self.relay.turned_away.count(self.key.key_id, self.started_ms) else { return error };
        let mut why = said(&error);
        if without > 0 {
            why = format!("{why} ({without} more before it left no row)");
        }
        self.write(model, streamed, error, why, None).await
    }

    /// Of a request that the limits have counted.
    pub(super) async fn leave(&self, model: &str, streamed: bool, error: ApiError) -> ApiError {
        self.unrouted(model, streamed, error, None).await
    }

    /// The same for one that nobody could be asked for, with who was passed over.
    pub(super) async fn unrouted(&self, model: &str, streamed: bool, error: ApiError, passed: Option<Decision>) -> ApiError {
        let why = said(&error);
        self.write(model, streamed, error, why, passed).await
    }

    async fn write(&self, model: &str, streamed: bool, error: ApiError, why: String, passed: Option<Decision>) -> ApiError {
        let record = Record {
            id: self.id,
            user: self.key.user_id,
            key: self.key.key_id,
            channel: None,
            model: model.to_owned(),
            streamed,
            status: error.status.as_u16(),
            outcome: Outcome::Refused,
            usage: Usage::default(),
            counted: false,
            ttft_ms: None,
            duration_ms: (self.relay.kit.clock.now_ms() - self.started_ms).max(0),
            error: Some(why),
            detail: Detail { operation: operation_word(self.operation), route: passed.map(|decision| decision.write()), ..Detail::default() },
        };
        let _ = self.relay.meter.note(record).await;
        error
    }
}

fn said(error: &ApiError) -> String {
    error.code.map_or_else(|| first_of(&error.message), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_so_many_in_a_minute_and_the_rest_is_told_by_the_next() {
        let turned_away = TurnedAway::default();
        let rows = |at: i64, n: u32| (0..n).filter_map(|_| turned_away.count(Id(1), at)).collect::<Vec<_>>();
        assert_eq!(rows(MINUTE, 1_000), vec![0; ROWS_PER_MINUTE as usize]);
        assert_eq!(turned_away.count(Id(2), MINUTE), Some(0), "each key for itself");
        assert!(rows(2 * MINUTE - 1, 1).is_empty());
        assert_eq!(rows(2 * MINUTE, 3), [u64::from(1_001 - ROWS_PER_MINUTE), 0, 0]);
    }

    #[test]
    fn no_number_of_keys_takes_more_than_its_room() {
        let turned_away = TurnedAway::default();
        for key in 0..2 * KEYS as i64 {
            turned_away.count(Id(key), 0);
        }
        assert_eq!(turned_away.0.lock().unwrap().len(), KEYS);
        assert_eq!(turned_away.count(Id(-1), 5 * MINUTE), Some(0), "the last minute's are forgotten");
        assert_eq!(turned_away.0.lock().unwrap().len(), 1);
    }
}
