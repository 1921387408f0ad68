//! One event of a stream, written.

use bytes::{BufMut, BytesMut};
use serde::Serialize;
use serde_json::Value;

/// The fields of a delta or of a part's end, in the order in which OpenAI has them.
#[derive(Serialize)]
pub(super) struct Step<'a> {
    #[serde(rename = "type")]
    pub(super) kind: &'a str,
    pub(super) sequence_number: u64,
    pub(super) item_id: &'a str,
    pub(super) output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) summary_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) part: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) logprobs: Option<[(); 0]>,
}

impl<'a> Step<'a> {
    /// Of an item.
    pub(super) fn new(kind: &'a str, item_id: &'a str, output_index: usize) -> Self {
        Self {
            kind,
            sequence_number: 0,
            item_id,
            output_index,
            content_index: None,
            summary_index: None,
            name: None,
            delta: None,
            text: None,
            refusal: None,
            arguments: None,
            input: None,
            part: None,
            logprobs: None,
        }
    }

    /// Of a part of a message.
    pub(super) fn content(self, at: usize) -> Self {
        Self { content_index: Some(at), ..self }
    }

    /// Of the one summary of an item.
    pub(super) fn summary(self) -> Self {
        Self { summary_index: Some(0), ..self }
    }

    /// Text events carry log probabilities, of which there are none.
    pub(super) fn text_event(self) -> Self {
        Self { logprobs: Some([]), ..self }
    }
}

/// One event. Strings and numbers always serialise, and a buffer in memory takes them.
pub(super) fn emit(sequence: &mut u64, mut step: Step<'_>, out: &mut BytesMut) {
    step.sequence_number = *sequence;
    *sequence += 1;
    out.put_slice(b"event: ");
    out.put_slice(step.kind.as_bytes());
    out.put_slice(b"\ndata: ");
    let _written = serde_json::to_writer(out.writer(), &step);
    out.put_slice(b"\n\n");
}

/// An event with one more field, which is JSON already.
pub(super) fn emit_json(sequence: &mut u64, kind: &str, fields: &str, json: &[u8], out: &mut BytesMut) {
    out.put_slice(format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"sequence_number\":{sequence},{fields}").as_bytes());
    out.put_slice(json);
    out.put_slice(b"}\n\n");
    *sequence += 1;
}

/// An event with an item.
pub(super) fn emit_item(sequence: &mut u64, kind: &str, at: usize, item: &Value, out: &mut BytesMut) {
    emit_json(sequence, kind, &format!("\"output_index\":{at},\"item\":"), item.to_string().as_bytes(), out);
}
