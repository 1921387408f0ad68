//! Gemini's stream for those who did not ask for events: one JSON array that grows.

use bytes::{Bytes, BytesMut};

/// The array so far.
#[derive(Debug, Default)]
pub(super) struct Array {
    is_open: bool,
}

impl Array {
    /// The data of events as further entries.
    pub(super) fn add(&mut self, events: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(events.len());
        for data in events.split(|&b| b == b'\n').filter_map(|line| line.strip_prefix(b"data:")) {
            out.extend_from_slice(if self.is_open { b",\r\n" } else { b"[" });
            self.is_open = true;
            out.extend_from_slice(data.trim_ascii());
        }
        out.freeze()
    }

    /// The end of the array behind its last entries.
    pub(super) fn close(&mut self, last: Bytes) -> Bytes {
        let mut out = BytesMut::from(&last[..]);
        out.extend_from_slice(if self.is_open { b"]" } else { b"[]" });
        out.freeze()
    }
}
