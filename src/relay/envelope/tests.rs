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
