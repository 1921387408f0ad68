//! What is read of requests, and how they are edited.

use super::*;
use crate::relay::dialect::Dialect;
use bytes::Bytes;

const HELLO: &str = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]"#;

fn chat(body: &[u8]) -> Result<Envelope, ApiError> {
    Envelope::read(Operation::Generate(Dialect::Chat), None, "application/json", body)
}

fn forward(envelope: &Envelope, body: &[u8], cap: Option<u64>) -> Vec<u8> {
    envelope.forward(&Bytes::copy_from_slice(body), &Edits { cap, ask_usage: true, ..Edits::default() }).to_vec()
}

fn parse(rest: &str) -> Result<Envelope, ApiError> {
    chat(format!("{HELLO}{rest}}}").as_bytes())
}

#[test]
fn reads_what_it_needs() {
    let request = parse(r#","stream":true,"max_tokens":50,"n":2,"stream_options":{"include_usage":true}"#).unwrap();
    assert_eq!((request.model.as_str(), request.stream, request.output_cap, request.choices, request.include_usage), ("m", true, Some(50), 2, true));
    let request = parse(r#","stream":null,"max_tokens":null,"n":null"#).unwrap();
    assert_eq!((request.stream, request.output_cap, request.choices), (false, None, 1));
}

#[test]
fn names_the_field_that_is_wrong() {
    for (rest, param) in [
        (r#","max_tokens":-1"#, "max_tokens"),
        (r#","max_tokens":0"#, "max_tokens"),
        (r#","max_tokens":1e99"#, "max_tokens"),
        (r#","max_tokens":1.5"#, "max_tokens"),
        (r#","max_tokens":"5""#, "max_tokens"),
        (r#","max_completion_tokens":99999999999999999999"#, "max_completion_tokens"),
        (r#","n":-1"#, "n"),
        (r#","n":1000000"#, "n"),
        (r#","stream":"yes""#, "stream"),
        (r#","stream_options":5"#, "stream_options"),
        (r#","model":"other""#, "model"),
        (r#","max_tokens":1,"max_tokens":100000"#, "max_tokens"),
        (r#","messages":[]"#, "messages"),
        (r#","Max_Tokens":100000"#, "max_tokens"),
        (r#","MODEL":"dear""#, "model"),
        (r#","N":128"#, "n"),
        (",\"\u{17f}tream\":true", "stream"),
        (r#","max_to\u212aens":9"#, "max_tokens"),
    ] {
        let error = parse(rest).expect_err(rest);
        assert_eq!((error.status.as_u16(), error.param.as_deref()), (400, Some(param)), "{rest}");
    }
    for bad in [
        &b"{"[..],
        b"[]",
        b"null",
        b"",
        b"\xff\xfe",
        br#"{"messages":[{}]}"#,
        br#"{"model":"m"}"#,
        br#"{"model":"m","messages":[]}"#,
        br#"{"model":"m","messages":{}}"#,
        br#"{"model":"m","messages":[1]}"#,
        br#"{"model":"m","messages":["hi"]}"#,
        br#"{"model":7,"messages":[{}]}"#,
        br#"{"model":"","messages":[{}]}"#,
    ] {
        assert_eq!(chat(bad).expect_err("must not parse").status.as_u16(), 400, "{}", String::from_utf8_lossy(bad));
    }
}

#[test]
fn forwards_every_byte_but_the_edits() {
    let body = format!(" {HELLO} , \"x\": {{\"y\" : [1.0, null]}}, \"stream\":true }}");
    let request = chat(body.as_bytes()).unwrap();
    let forwarded = String::from_utf8(forward(&request, body.as_bytes(), None)).unwrap();
    assert_eq!(forwarded, body.replacen('{', r#"{"stream_options":{"include_usage":true},"#, 1));

    let body = format!("{HELLO},\"max_tokens\": 5000 ,\"stream\":true,\"stream_options\":{{\"include_usage\":false,\"x\":1}}}}");
    let request = chat(body.as_bytes()).unwrap();
    let forwarded = String::from_utf8(forward(&request, body.as_bytes(), Some(40))).unwrap();
    assert_eq!(forwarded, format!("{HELLO},\"max_tokens\": 40 ,\"stream\":true,\"stream_options\":{{\"include_usage\":true,\"x\":1}}}}"));

    for (written, forwarded) in [
        (r#","max_tokens":null,"stream":true,"stream_options":null"#, r#","max_tokens":7,"stream":true,"stream_options":{"include_usage":true}"#),
        (r#","max_completion_tokens":null,"max_tokens":null"#, r#","max_completion_tokens":null,"max_tokens":7"#),
        (r#","max_completion_tokens":9,"max_tokens":null"#, r#","max_completion_tokens":7,"max_tokens":null"#),
    ] {
        let body = format!("{HELLO}{written}}}");
        let request = chat(body.as_bytes()).unwrap();
        assert_eq!(String::from_utf8(forward(&request, body.as_bytes(), Some(7))).unwrap(), format!("{HELLO}{forwarded}}}"));
    }

    let body = format!("{HELLO}}}");
    let request = chat(body.as_bytes()).unwrap();
    assert_eq!(forward(&request, body.as_bytes(), None), body.as_bytes());
    assert!(String::from_utf8(forward(&request, body.as_bytes(), Some(7))).unwrap().starts_with(r#"{"max_tokens":7,"model""#));
}

fn read(operation: Operation, body: &str) -> Result<Envelope, ApiError> {
    Envelope::read(operation, Some(("m", false)), "application/json", body.as_bytes())
}

#[test]
fn only_the_kind_of_a_gemini_tool_says_what_it_is() {
    let tools = |tools: &str| read(Operation::Generate(Dialect::Gemini), &format!(r#"{{"contents":[{{}}],"tools":{tools}}}"#));
    let own = r#"[{"functionDeclarations":[{"name":"file_search","description":"googleSearch","parameters":{"properties":{"fileSearch":{}}}}]}]"#;
    assert_eq!(tools(own).unwrap().searches, 0);
    for searching in [r#"[{"functionDeclarations":[]},{"googleSearch":{}}]"#, r#"{"google_search_retrieval":{}}"#, r#"[{"google\u0053earch":{}}]"#] {
        assert!(tools(searching).unwrap().searches > 0, "{searching}");
    }
    for refused in
        [r#"[{"fileSearch":{}}]"#, r#"[{"functionDeclarations":[],"file_search":{}}]"#, r#"[{"file\u0053earch":{}}]"#, r#"{"File_Search":{}}"#, "[1]"]
    {
        assert_eq!(tools(refused).expect_err(refused).param.as_deref(), Some("tools"), "{refused}");
    }
}

#[test]
fn the_wish_for_the_cost_stays_here() {
    for (operation, body) in [
        (Operation::Completions, r#"{"model":"m","prompt":"a""#),
        (Operation::Embeddings, r#"{"model":"m","input":"a""#),
        (Operation::Moderations, r#"{"input":"a""#),
        (Operation::Rerank, r#"{"model":"m","query":"a","documents":["b"]"#),
        (Operation::ImageGenerations, r#"{"model":"m","prompt":"a""#),
        (Operation::Speech, r#"{"model":"m","input":"a""#),
        (Operation::Generate(Dialect::Gemini), r#"{"contents":[{}]"#),
        (Operation::GeminiEmbed, r#"{"content":{}"#),
        (Operation::Generate(Dialect::Responses), r#"{"model":"m","input":"a""#),
    ] {
        let asked = format!(r#"{body},"usage":{{"include":true}}}}"#);
        let envelope = read(operation, &asked).unwrap();
        assert!(envelope.include_cost, "{asked}");
        let forwarded = String::from_utf8(envelope.forward(&Bytes::from(asked), &Edits::default()).to_vec()).unwrap();
        assert_eq!(forwarded, format!("{body}}}"));
    }
}

#[test]
fn an_inserted_cap_has_the_name_that_the_upstreams_model_knows() {
    let body = Bytes::from(format!("{HELLO}}}"));
    let request = chat(&body).unwrap();
    let field = |model, is_openai| {
        let forwarded = request.forward(&body, &Edits { model, cap: Some(7), is_openai, ..Edits::default() });
        let forwarded: serde_json::Value = serde_json::from_slice(&forwarded).unwrap();
        ["max_tokens", "max_completion_tokens"].map(|name| forwarded[name].as_u64())
    };
    assert_eq!(field(None, false), [Some(7), None]);
    assert_eq!(field(Some("llama-4"), false), [Some(7), None]);
    for (model, is_openai) in [(Some("gpt-5-mini"), false), (Some("openai/o3"), false), (None, true)] {
        assert_eq!(field(model, is_openai), [None, Some(7)], "{model:?}");
    }
}

#[test]
fn thoughts_stay_under_a_cap_that_was_lowered() {
    let lowered = |thinking: &str, cap: u64| {
        let body = Bytes::from(format!(r#"{{"model":"m","max_tokens":9000,"thinking":{thinking},"messages":[{{}}]}}"#));
        let request = read(Operation::Generate(Dialect::Messages), std::str::from_utf8(&body).unwrap()).unwrap();
        let forwarded: serde_json::Value = serde_json::from_slice(&request.forward(&body, &Edits { cap: Some(cap), ..Edits::default() })).unwrap();
        assert_eq!(forwarded["max_tokens"], cap);
        forwarded["thinking"].to_string()
    };
    let enabled = |tokens: u64| format!(r#"{{"type":"enabled","budget_tokens":{tokens}}}"#);
    for (cap, expected) in [(8_001, enabled(8_000)), (8_000, enabled(6_000)), (1_200, enabled(1_024)), (1_025, enabled(1_024))] {
        assert_eq!(lowered(&enabled(8_000), cap), expected, "{cap}");
    }
    assert_eq!(lowered(&enabled(8_000), 1_024), r#"{"type":"disabled"}"#);
    for other in [r#"{"type":"adaptive"}"#, r#"{"type":"enabled","budget_tokens":"x"}"#, "null"] {
        assert_eq!(lowered(other, 40), other);
    }
}

#[test]
fn what_the_provider_has_stored_cannot_be_named() {
    let input = |input: &str| read(Operation::Generate(Dialect::Responses), &format!(r#"{{"model":"m","input":{input}}}"#));
    for (refused, param) in [
        (r#"[{"role":"user","content":"a"},{"type":"item_reference","id":"msg_1"}]"#, "input[1].type"),
        (r#"[{"id":"msg_1"}]"#, "input[0].type"),
        (r#"[{"type":null,"id":"msg_1"}]"#, "input[0].type"),
        (r#"[{"type":"item\u005freference","id":"msg_1"}]"#, "input[0].type"),
        (r#"[{"type":"message","type":"item_reference","id":"msg_1"}]"#, "input"),
        ("[1]", "input"),
    ] {
        assert_eq!(input(refused).expect_err(refused).param.as_deref(), Some(param), "{refused}");
    }
    let own = r#"[{"role":"user","content":"a"},{"type":"reasoning","id":"rs_1","summary":[]},{"id":"msg_1","role":"assistant","content":[]}]"#;
    assert_eq!((input(own).unwrap().turns, input("\"a\"").unwrap().turns), (3, 1));
}
