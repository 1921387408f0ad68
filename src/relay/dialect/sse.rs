//! Writing server-sent events and the JSON in them without a tree of values: streams are rendered event by event.

use bytes::{BufMut, BytesMut};
use serde::Serialize;

/// Appends a JSON string, quotes included.
pub fn string(out: &mut BytesMut, text: &str) {
    json(out, text);
}

/// Appends anything as JSON.
pub fn json<T: Serialize + ?Sized>(out: &mut BytesMut, value: &T) {
    // Writing to memory does not fail, and what we serialize has string keys only.
    let _ = serde_json::to_writer(out.writer(), value);
}

/// Appends `event: NAME` (when there is one) and what `data` writes, which has no line break.
pub fn event(out: &mut BytesMut, name: Option<&str>, data: impl FnOnce(&mut BytesMut)) {
    if let Some(name) = name {
        out.put_slice(b"event: ");
        out.put_slice(name.as_bytes());
        out.put_slice(b"\n");
    }
    out.put_slice(b"data: ");
    data(out);
    out.put_slice(b"\n\n");
}

/// A cost in dollars as a JSON number when it is one, and as a string otherwise.
pub fn cost(cost: &str) -> serde_json::Value {
    let number = serde_json::from_str::<serde_json::Number>(cost).ok();
    number.map_or_else(|| cost.into(), serde_json::Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_data() {
        let mut out = BytesMut::new();
        event(&mut out, Some("x"), |out| string(out, "a\nb\"\u{2028}"));
        event(&mut out, None, |out| json(out, &[1, 2]));
        assert_eq!(out, "event: x\ndata: \"a\\nb\\\"\u{2028}\"\n\ndata: [1,2]\n\n");
    }
}
