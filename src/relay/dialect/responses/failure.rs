//! The events that end a stream which cannot go on: `error`, at which clients stop, and `response.failed`, as which the stream is known to end.

use super::emit::emit_json;
use bytes::{BufMut, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;
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

/// What is kept of a long first event: enough of its response for clients to know it by. None when it has no response.
pub fn brief(created: &[u8]) -> Option<Vec<u8>> {
    /// No id, date or name is longer.
    const LONGEST: usize = 256;
    #[derive(Deserialize)]
    struct Created<'a> {
        #[serde(borrow)]
        response: Response<'a>,
    }
    #[derive(Deserialize)]
    struct Response<'a> {
        #[serde(borrow)]
        id: &'a RawValue,
        #[serde(borrow, default)]
        created_at: Option<&'a RawValue>,
        #[serde(borrow, default)]
        model: Option<&'a RawValue>,
    }
    let Created { response } = serde_json::from_slice(created).ok()?;
    let short = |raw: Option<&RawValue>| raw.map_or("null", |raw| if raw.get().len() <= LONGEST { raw.get() } else { "null" }).to_owned();
    let (id, created_at, model) = (short(Some(response.id)), short(response.created_at), short(response.model));
    let rest = r#""output":[],"incomplete_details":null,"instructions":null,"metadata":{},"parallel_tool_calls":true,"tool_choice":"auto","tools":[]"#;
    Some(format!(r#"{{"response":{{"id":{id},"object":"response","created_at":{created_at},"status":"in_progress","model":{model},{rest}}}}}"#).into_bytes())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_beginning_is_kept_in_brief() {
        let long = "x".repeat(100_000);
        let created = json!({"type": "response.created", "sequence_number": 0, "response": {"id": "resp_1", "object": "response", "created_at": 5,
            "status": "in_progress", "instructions": long, "model": "m", "tools": [{"model": "t"}]}});
        let brief = brief(created.to_string().as_bytes()).unwrap();
        assert!(brief.len() < 1_000);
        let mut out = BytesMut::new();
        fail_begun(Some(&brief), 4, "upstream_error", "broke", None, &mut out);
        let text = String::from_utf8(out.to_vec()).unwrap();
        let events: Vec<Value> = text.lines().filter_map(|line| line.strip_prefix("data: ")).map(|data| serde_json::from_str(data).unwrap()).collect();
        assert_eq!((&events[0]["type"], &events[0]["sequence_number"]), (&json!("error"), &json!(4)));
        let response = &events[1]["response"];
        assert_eq!((&events[1]["type"], &events[1]["sequence_number"], &response["status"]), (&json!("response.failed"), &json!(5), &json!("failed")));
        assert_eq!((&response["id"], &response["created_at"], &response["model"]), (&json!("resp_1"), &json!(5), &json!("m")));
        assert_eq!(response["error"], json!({"code": "server_error", "message": "broke"}));
        assert!(super::brief(b"{}").is_none() && super::brief(b"{").is_none());
    }
}
