//! What the upstream says, baked once at the start. Each copy gets an id of its own, as real answers have.

use memchr::memmem;

/// How many content chunks a stream has.
const CHUNKS: usize = 50;
/// What both kinds of answer report. The harness knows the same numbers and expects them in the books.
const PROMPT_TOKENS: usize = 213;
const COMPLETION_TOKENS: usize = 47;
/// Stands in the baked text where the id of an answer goes.
const ID: &[u8] = b"0123456789abcdef";
const TEXT: &str = "A relay reads the request, looks up the key, sets money aside, passes the request on, and settles what it cost as \
                    soon as the answer is complete. Whatever else it does, it does beside that path.";

/// A baked text with the places of its id.
pub struct Baked {
    bytes: Vec<u8>,
    ids: Vec<usize>,
}

impl Baked {
    fn new(bytes: Vec<u8>) -> Self {
        let ids = memmem::find_iter(&bytes, ID).collect();
        Self { bytes, ids }
    }

    /// Writes a copy with the id `number` into `out`.
    pub fn copy(&self, number: u64, out: &mut Vec<u8>) {
        out.clear();
        out.extend_from_slice(&self.bytes);
        for &at in &self.ids {
            for (place, digit) in out[at..at + ID.len()].iter_mut().enumerate() {
                *digit = ID[(number >> (60 - 4 * place)) as usize & 15];
            }
        }
    }
}

/// Every answer there is.
pub struct Answers {
    /// A completion, whole.
    pub chat: Baked,
    /// A streamed completion: the head, each event, the end. One write each.
    pub stream: Vec<Baked>,
}

impl Answers {
    pub fn bake() -> Self {
        Self { chat: Baked::new(json(&completion())), stream: stream().into_iter().map(Baked::new).collect() }
    }
}

/// An answer of 200 with a JSON body.
pub fn json(body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn completion() -> String {
    format!(
        r#"{{"id":"chatcmpl-0123456789abcdef","object":"chat.completion","created":1760000000,"model":"gpt-4o-mini","choices":[{{"index":0,"message":{{"role":"assistant","content":"{TEXT}","refusal":null}},"logprobs":null,"finish_reason":"stop"}}],"usage":{},"system_fingerprint":"fp_mock"}}"#,
        usage()
    )
}

fn usage() -> String {
    let total = PROMPT_TOKENS + COMPLETION_TOKENS;
    format!(
        r#"{{"prompt_tokens":{PROMPT_TOKENS},"completion_tokens":{COMPLETION_TOKENS},"total_tokens":{total},"prompt_tokens_details":{{"cached_tokens":0,"audio_tokens":0}},"completion_tokens_details":{{"reasoning_tokens":0,"audio_tokens":0}}}}"#
    )
}

fn stream() -> Vec<Vec<u8>> {
    let words: Vec<&str> = TEXT.split(' ').collect();
    let mut parts =
        vec![b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n".to_vec()];
    for at in 0..CHUNKS {
        let role = if at == 0 { r#""role":"assistant","# } else { "" };
        let finish = if at + 1 == CHUNKS { r#""stop""# } else { "null" };
        let word = words[at % words.len()];
        parts.push(event(&format!(r#""choices":[{{"index":0,"delta":{{{role}"content":"{word} "}},"logprobs":null,"finish_reason":{finish}}}]"#)));
    }
    parts.push(event(&format!(r#""choices":[],"usage":{}"#, usage())));
    parts.push([chunk("data: [DONE]\n\n"), b"0\r\n\r\n".to_vec()].concat());
    parts
}

fn event(fields: &str) -> Vec<u8> {
    let line = format!(
        r#"data: {{"id":"chatcmpl-0123456789abcdef","object":"chat.completion.chunk","created":1760000000,"model":"gpt-4o-mini","system_fingerprint":"fp_mock",{fields}}}"#
    );
    chunk(&(line + "\n\n"))
}

/// One piece of a chunked body.
fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}
