//! The events that end a stream which cannot go on: `error`, at which clients stop, and `response.failed`, as which the stream is known to end.

use super::emit::emit_json;
use bytes::{BufMut, BytesMut};
use serde_json::{Map, Value, json};

/// The code that a failed response carries: there are few, and clients look for these two.
pub(super) fn code_of(code: &str) -> &str {
    if ["rate_limit_exceeded", "insufficient_quota"].contains(&code) { code } else { "server_error" }
}

/// Writes the event after which clients expect no more text.
pub(super) fn error(sequence: &mut u64, code: Option<&str>, message: &str, param: Option<&str>, out: &mut BytesMut) {
    let error = json!({"type": "error", "code": code, "message": message, "param": param, "sequence_number": *sequence});
    out.put_slice(format!("event: error\ndata: {error}\n\n").as_bytes());
    *sequence += 1;
}

/// Writes the end of a stream that another server began: `created` is the data of its first event, whose response has now failed.
pub fn fail_begun(created: Option<&[u8]>, mut sequence: u64, code: &str, message: &str, param: Option<&str>, out: &mut BytesMut) {
    error(&mut sequence, Some(code), message, param, out);
    let begun = created.and_then(|data| serde_json::from_slice::<Map<String, Value>>(data).ok()).and_then(|mut event| event.remove("response"));
    let Some(Value::Object(mut response)) = begun else { return };
    response.insert("status".to_owned(), "failed".into());
    response.insert("error".to_owned(), json!({"code": code_of(code), "message": message}));
    emit_json(&mut sequence, "response.failed", "\"response\":", Value::Object(response).to_string().as_bytes(), out);
}
