use super::*;
use crate::catalog::{Caching, Factor};
use crate::kernel::Id;
use serde_json::json;

const COLD: Caching = Caching { ttl_ms: 60_000, always: false, factor: Factor::NOTHING, shared: false };
const ALWAYS: Caching = Caching { always: true, ..COLD };

fn question(body: &str) -> Question<'_> {
    Question { customer: Id(1), operation: "chat", model: Id(7), stream: false, besides: &[], body: body.as_bytes() }
}

fn key(body: &str) -> Option<CacheKey> {
    CacheKey::of(&question(body), &ALWAYS)
}

const HELLO: &str = r#"{"model":"m","messages":[{"role":"user","content":"hé"}],"temperature":0}"#;

#[test]
fn the_same_request_in_other_words_has_the_same_key() {
    let expected = key(HELLO);
    assert!(expected.is_some());
    for same in [
        r#"{ "temperature" : 0, "messages" : [ { "content" : "h\u00e9", "role" : "user" } ], "model" : "m" }"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hé"}],"temperature":0,"user":"u1","metadata":{"a":1},"stream":false,"stop":null,"tools":null}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hé"}],"temperature":0,"prompt_cache_key":"p","safety_identifier":"s"}"#,
    ] {
        assert_eq!(key(same), expected, "{same}");
    }
}

#[test]
fn a_request_that_may_be_answered_otherwise_has_another_key() {
    let mut keys = vec![key(HELLO).unwrap()];
    for other in [
        r#"{"model":"m","messages":[{"role":"user","content":"he"}],"temperature":0}"#,
        r#"{"model":"m","messages":[{"role":"system","content":"hé"}],"temperature":0}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hé"}],"temperature":0.0}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hé"}],"temperature":0,"n":2}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hé"}],"temperature":0,"seed":18446744073709551617}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hé"}],"temperature":0,"seed":18446744073709551616}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hé"}],"temperature":0,"stream_options":{"include_usage":true}}"#,
        r#"{"model":"m","messages":[{"role":"user","content":"hé","name":null}],"temperature":0}"#,
        r#"{"model":"m","messages":[["role","user"]],"temperature":0}"#,
        r#"{"model":"m","messages":["role","user"],"temperature":0}"#,
        r#"{"model":"m","messages":["roleuser"],"temperature":0}"#,
        r#"{"model":"m","messages":["0"],"temperature":0}"#,
        r#"{"model":"m","messages":[0],"temperature":0}"#,
    ] {
        keys.push(key(other).unwrap());
    }
    let ask = question(HELLO);
    for other in [
        Question { customer: Id(2), ..ask },
        Question { model: Id(8), ..ask },
        Question { stream: true, ..ask },
        Question { operation: "completions", ..ask },
        Question { besides: &[b"beta"], ..ask },
        Question { besides: &[b"be", b"ta"], ..ask },
    ] {
        keys.push(CacheKey::of(&other, &ALWAYS).unwrap());
    }
    let all = keys.len();
    let different: std::collections::HashSet<CacheKey> = keys.into_iter().collect();
    assert_eq!(different.len(), all);
}

#[test]
fn customers_share_only_where_the_model_says_so() {
    let shared = Caching { shared: true, ..ALWAYS };
    let (ann, bob) = (question(HELLO), Question { customer: Id(2), ..question(HELLO) });
    assert_eq!(CacheKey::of(&ann, &shared), CacheKey::of(&bob, &shared));
    assert_ne!(CacheKey::of(&ann, &ALWAYS), CacheKey::of(&bob, &ALWAYS));
    // The answers from before they were shared stay with whom they belong to, even with a customer of a strange number.
    assert_ne!(CacheKey::of(&Question { customer: Id(0), ..ann }, &ALWAYS), CacheKey::of(&ann, &shared));
}

#[test]
fn only_cold_requests_are_kept_unless_all_are() {
    let cold = |operation, body: &str| CacheKey::of(&Question { operation, ..question(body) }, &COLD).is_some();
    for zero in ["0", "0.0", "-0", "0e3", "0.000"] {
        assert!(cold("chat", &format!(r#"{{"temperature":{zero}}}"#)), "{zero}");
        assert!(cold("gemini", &format!(r#"{{"generationConfig":{{"temperature":{zero}}}}}"#)), "{zero}");
    }
    for warm in ["{}", r#"{"temperature":0.1}"#, r#"{"temperature":null}"#, r#"{"temperature":1e0}"#, r#"{"temperature":"0"}"#, r#"{"generationConfig":{}}"#] {
        assert!(!cold("chat", warm) && !cold("gemini", warm), "{warm}");
        assert!(CacheKey::of(&question(warm), &ALWAYS).is_some());
        assert!(cold("embeddings", warm), "{warm}");
    }
}

#[test]
fn what_is_more_than_an_answer_is_never_kept() {
    for body in [
        json!({"previous_response_id": "r"}),
        json!({"conversation": {"id": "c"}}),
        json!({"background": true}),
        json!({"store": true}),
        json!({"web_search_options": {}}),
        json!({"tools": [{"type": "function"}, {"type": "web_search"}]}),
        json!({"tools": [{"type": "mcp", "server_url": "https://example.org"}]}),
        json!({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
        json!({"tools": [{"googleSearch": {}}]}),
        json!({"tools": {"type": "function"}}),
        json!({"cachedContent": "cachedContents/1"}),
    ] {
        assert_eq!(key(&body.to_string()), None, "{body}");
    }
    for body in [
        json!({"store": false, "background": null}),
        json!({"tools": [{"type": "function", "function": {"name": "f"}}]}),
        json!({"tools": [{"name": "f", "input_schema": {}}]}),
        json!({"tools": [{"functionDeclarations": []}]}),
        json!({"tools": []}),
    ] {
        assert!(key(&body.to_string()).is_some(), "{body}");
    }
    for broken in ["", "[]", "no json", r#"{"a":1}{"b":2}"#, r#"{"a":1,"a":2}"#, r#"{"x":{"a":1,"\u0061":2}}"#, "{\"x\":1"] {
        assert_eq!(key(broken), None, "{broken}");
    }
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(5_000), "]".repeat(5_000));
    assert_eq!(key(&deep), None);
    let echoed = |user: &str| CacheKey::of(&Question { operation: "responses", ..question(user) }, &ALWAYS);
    assert_ne!(echoed(r#"{"user":"a"}"#), echoed(r#"{"user":"b"}"#), "an answer of Responses repeats who asked");
}

fn kept(bytes: usize, at: i64) -> Kept {
    Kept {
        body: Bytes::from(vec![b'x'; bytes]),
        content_type: "application/json".into(),
        usage: Usage { input: 1, output: 2, ..Usage::default() },
        kept_at_ms: at,
    }
}

fn numbered(n: usize) -> CacheKey {
    key(&format!(r#"{{"n":{n}}}"#)).unwrap()
}

#[test]
fn an_answer_is_kept_for_its_time() {
    let cache = ResponseCache::new(64 << 20);
    assert_eq!(cache.look(&numbered(1), 1_000, 500), None);
    cache.keep(numbered(1), kept(10, 1_000));
    assert_eq!(cache.look(&numbered(1), 1_499, 500).as_deref(), Some(&kept(10, 1_000)));
    assert_eq!(cache.look(&numbered(2), 1_499, 500), None);
    assert_eq!(cache.look(&numbered(1), 1_500, 500), None);
    assert_eq!((cache.look(&numbered(1), 1_000, 500), cache.weight()), (None, 0), "and then let go");
    cache.keep(numbered(1), kept(10, 1_000));
    cache.keep(numbered(1), kept(20, 2_000));
    assert_eq!(cache.look(&numbered(1), 2_000, 500).unwrap().body.len(), 20);
}

#[test]
fn the_bytes_are_bounded() {
    let cache = ResponseCache::new(1 << 20);
    for n in 0..1_000 {
        cache.keep(numbered(n), kept(10_000, 0));
        assert!(cache.weight() <= 1 << 20);
    }
    assert!(cache.weight() > 1 << 19, "and used");
    cache.keep(numbered(5_000), kept(200_000, 0));
    assert_eq!(cache.look(&numbered(5_000), 0, 1), None, "one answer may not push out all others");
    let nothing = ResponseCache::new(0);
    nothing.keep(numbered(1), kept(1, 0));
    assert_eq!(nothing.look(&numbered(1), 0, 1), None);
}

#[test]
fn a_stream_is_recorded_until_it_is_too_large() {
    let cache = ResponseCache::new(80_000);
    let mut recording = cache.recording();
    recording.add(b"data: 1\n\n");
    recording.add(b"data: [DONE]\n\n");
    assert_eq!(recording.finish().as_deref(), Some(&b"data: 1\n\ndata: [DONE]\n\n"[..]));
    let mut recording = cache.recording();
    recording.add(&[b'x'; 9_000]);
    recording.add(&[b'x'; 9_000]);
    recording.add(b"more");
    assert_eq!(recording.finish(), None);
}
