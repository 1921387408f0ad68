//! The beginning of an event whose end has not come yet.

use super::event_length;
use bytes::{Bytes, BytesMut};

/// What has come of an event so far. However many pieces it comes in, each byte is looked at once.
#[derive(Debug, Default)]
pub(in crate::relay) struct Pending {
    bytes: BytesMut,
    /// How far it was searched for the event's end.
    searched: usize,
}

impl Pending {
    /// Takes the next piece: what is at hand, when that has a whole event in it or was not pending at all.
    pub(in crate::relay) fn gather(&mut self, piece: Bytes) -> Option<Bytes> {
        if self.bytes.is_empty() {
            return Some(piece);
        }
        self.bytes.extend_from_slice(&piece);
        if event_length(&self.bytes[self.searched..]).is_none() {
            // The end of an event has three bytes at most.
            self.searched = self.bytes.len().saturating_sub(3);
            return None;
        }
        self.searched = 0;
        Some(self.bytes.split().freeze())
    }

    /// Keeps what is no whole event.
    pub(in crate::relay) fn keep(&mut self, rest: &[u8]) {
        self.bytes.extend_from_slice(rest);
    }

    /// What waits, when nothing more comes.
    pub(super) fn take(&mut self) -> BytesMut {
        self.searched = 0;
        self.bytes.split()
    }

    /// How many bytes wait.
    pub(in crate::relay) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing but white space waits.
    pub(super) fn is_blank(&self) -> bool {
        self.bytes.iter().all(u8::is_ascii_whitespace)
    }
}
