use super::super::canonical::*;
use super::super::{Closing, Dialect, Echo, Target};
use super::*;
use crate::kernel::Usage;
use crate::relay::report::UsageReport;
use bytes::BytesMut;
use serde_json::{Value, json};
use std::sync::Arc;

fn parsed(body: Value) -> Request {
    parse_request(body.to_string().as_bytes()).unwrap()
}

fn refused(body: Value) -> String {
    parse_request(body.to_string().as_bytes()).unwrap_err().field
}

fn target(is_openai: bool) -> Target<'static> {
    Target { model: "up", output_cap: Some(100), default_cap: 4096, is_openai }
}

fn rendered(request: &Request, is_openai: bool) -> Value {
    serde_json::from_slice(&render_request(request, &target(is_openai)).unwrap()).unwrap()
}

fn echo(request: Request) -> Echo {
    Echo { request: Arc::new(request), model: "m".to_owned(), id: "r1".to_owned(), created: 1_700_000_000, include_usage: false, input_tokens: 7 }
}

fn codex() -> Value {
    json!({
        "model": "m", "instructions": "You are an agent.", "tool_choice": "auto", "parallel_tool_calls": false, "store": false, "stream": true,
        "reasoning": {"effort": "medium", "summary": "auto"}, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "k", "text": {"verbosity": "low"},
        "client_metadata": {"x": "y"},
        "tools": [
            {"type": "function", "name": "exec", "description": "d", "strict": false, "parameters": {"type": "object", "properties": {}}},
            {"type": "custom", "name": "apply_patch", "description": "d", "format": {"type": "grammar", "syntax": "lark", "definition": "start: \"a\""}},
            {"type": "namespace", "name": "mcp__files", "description": "d", "tools": [{"type": "function", "name": "read", "description": "r", "strict": false, "parameters": {"type": "object"}}]},
            {"type": "local_shell"},
            {"type": "web_search", "external_web_access": false},
        ],
        "input": [
            {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "rules"}]},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "fix it"}, {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}], "content": null, "encrypted_content": "farebox.messages.sig"},
            {"type": "function_call", "name": "exec", "arguments": "{\"a\":1}", "call_id": "c1"},
            {"type": "function_call", "name": "read", "namespace": "mcp__files", "arguments": "{}", "call_id": "c2"},
            {"type": "function_call_output", "call_id": "c1", "output": "ok"},
            {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "x"}, {"type": "input_image", "image_url": "https://a.example/b.png"}]},
            {"type": "custom_tool_call", "status": "completed", "name": "apply_patch", "input": "*** Begin", "call_id": "c3"},
            {"type": "custom_tool_call_output", "call_id": "c3", "output": "done"},
            {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
            {"type": "local_shell_call", "call_id": "c4", "status": "completed", "action": {"type": "exec", "command": ["ls"], "env": {}}},
            {"type": "function_call_output", "call_id": "c4", "output": "a.txt"},
            {"type": "message", "role": "assistant", "phase": "commentary", "content": [{"type": "output_text", "text": "Done."}]},
        ],
    })
}

#[test]
fn what_codex_sends_is_read_whole() {
    let request = parsed(codex());
    assert_eq!(request.instructions.iter().map(|i| (i.developer, i.text.text.as_str())).collect::<Vec<_>>(), [(false, "You are an agent."), (true, "rules")]);
    let names: Vec<_> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["exec", "apply_patch", "mcp__files__read", "local_shell"]);
    let roles: Vec<_> = request.messages.iter().map(|message| (message.role, message.parts.len())).collect();
    let (user, assistant) = (Role::User, Role::Assistant);
    assert_eq!(roles, [(user, 2), (assistant, 3), (user, 2), (assistant, 1), (user, 1), (assistant, 1), (user, 1), (assistant, 1)]);
    let Part::Thought(thought) = &request.messages[1].parts[0] else { panic!() };
    assert_eq!(thought.signature, Some(Signature { of: Dialect::Messages, value: "sig".to_owned() }));
    let Part::ToolCall(call) = &request.messages[1].parts[2] else { panic!() };
    assert_eq!((call.name.as_str(), call.id.as_str()), ("mcp__files__read", "c2"));
    let Part::ToolResult(result) = &request.messages[2].parts[1] else { panic!() };
    assert_eq!((result.name.as_deref(), result.parts.len()), (Some("mcp__files__read"), 2));
    let Part::ToolCall(call) = &request.messages[5].parts[0] else { panic!() };
    assert_eq!((call.name.as_str(), call.arguments.as_str()), ("local_shell", r#"{"command":["ls"],"env":{}}"#));
    assert_eq!(request.reasoning, Some(Reasoning { effort: Some(Effort::Medium), summary: Some("auto".to_owned()), sealed: true, ..Reasoning::default() }));
}

#[test]
fn what_nobody_else_can_say_is_refused_by_name() {
    let with = |name: &str, value: Value| {
        let mut body = json!({"model": "m", "input": "hi"});
        body[name] = value;
        body
    };
    for (body, field) in [
        (json!({"input": "hi"}), "model"),
        (json!({"model": "m"}), "input"),
        (with("input", json!(5)), "input"),
        (with("input", json!([{"type": "item_reference", "id": "x"}])), "input[0].type"),
        (with("input", json!([{"role": "user", "content": "a"}, {"role": "user", "content": [{"type": "input_text"}]}])), "input[1].content[0].text"),
        (with("input", json!([{"role": "user", "content": [{"type": "input_video"}]}])), "input[0].content[0].type"),
        (with("input", json!([{"role": "robot", "content": "a"}])), "input[0].role"),
        (with("previous_response_id", json!("resp_1")), "previous_response_id"),
        (with("store", json!(true)), "store"),
        (with("background", json!(true)), "background"),
        (with("truncation", json!("auto")), "truncation"),
        (with("top_logprobs", json!(2)), "top_logprobs"),
        (with("include", json!(["message.output_text.logprobs"])), "include[0]"),
        (with("tools", json!([{"type": "web_search", "external_web_access": true}])), "tools[0].type"),
        (with("tools", json!([{"type": "function", "name": "f"}, {"type": "web_search"}])), "tools[1].type"),
        (with("tools", json!([{"type": "function", "name": "f"}, {"type": "web_search_preview", "external_web_access": true}])), "tools[1].type"),
        (with("tools", json!([{"type": "function", "name": "f"}, {"type": "tool_search", "execution": "client"}])), "tools[1].type"),
        (with("tools", json!([{"type": "function", "name": "f"}, {"type": "image_generation"}])), "tools[1].type"),
        (with("context_management", json!([{"type": "compaction", "compact_threshold": 1000}])), "context_management"),
        (with("tools", json!([{"type": "mcp", "server_label": "x"}])), "tools[0].type"),
        (with("tools", json!([{"type": "function", "name": "f", "odd": 1}])), "tools[0].odd"),
        (with("tool_choice", json!({"type": "file_search"})), "tool_choice.type"),
        (with("tool_choice", json!("maybe")), "tool_choice"),
        (with("text", json!({"format": {"type": "xml"}})), "text.format.type"),
        (with("reasoning", json!({"effort": "huge"})), "reasoning.effort"),
        (with("max_output_tokens", json!(-1)), "max_output_tokens"),
        (with("odd", json!(1)), "odd"),
    ] {
        assert_eq!(refused(body.clone()), field, "{body}");
    }
    for harmless in [
        ("store", json!(false)),
        ("truncation", json!("disabled")),
        ("metadata", json!({"a": "b"})),
        ("top_logprobs", json!(0)),
        ("usage", json!({"include": true})),
        ("context_management", json!([])),
        ("tools", json!([{"type": "web_search", "external_web_access": false}, {"type": "function", "name": "f"}])),
        ("tools", json!([{"type": "tool_search"}, {"type": "function", "name": "f", "defer_loading": true}])),
    ] {
        parsed(with(harmless.0, harmless.1));
    }
}

#[test]
fn a_request_comes_back_from_what_was_written_of_it() {
    let mut request = parsed(codex());
    request.aliases.clear();
    request.output_cap = Some(100);
    for part in request.messages.iter_mut().flat_map(|message| &mut message.parts) {
        if let Part::Thought(thought) = part {
            thought.signature = Some(Signature { of: Dialect::Responses, value: "gAAA".to_owned() });
        }
    }
    request.model = "up".to_owned();
    let back = parse_request(&render_request(&request, &target(true)).unwrap()).unwrap();
    assert_eq!(back, request);
}

#[test]
fn thoughts_of_others_stay_behind_and_openai_wants_its_seal_on_them() {
    let thought = |signature: Option<Dialect>, redacted: Option<&str>| {
        let signature = signature.map(|of| Signature { of, value: "s".to_owned() });
        let part = Part::Thought(Thought {
            text: "t".to_owned(),
            signature,
            redacted: redacted.map(|data| Signature { of: Dialect::Messages, value: data.to_owned() }),
            ..Thought::default()
        });
        Request { messages: vec![Message { role: Role::Assistant, parts: vec![part, Part::Text("x".into())] }], ..Request::default() }
    };
    let count = |request: &Request, is_openai| rendered(request, is_openai)["input"].as_array().unwrap().len();
    assert_eq!(count(&thought(Some(Dialect::Messages), None), true), 1);
    assert_eq!(count(&thought(None, Some("r")), false), 1);
    assert_eq!(count(&thought(None, None), true), 1);
    assert_eq!(count(&thought(None, None), false), 2);
    assert_eq!(rendered(&thought(Some(Dialect::Responses), None), true)["input"][0]["encrypted_content"], "s");
}

#[test]
fn a_failed_tool_says_so_in_words() {
    let output = |parts: Vec<Part>| {
        let result = ToolResult { call_id: "c".to_owned(), name: None, parts, is_error: true, custom: false, cache: None };
        let messages = vec![Message { role: Role::User, parts: vec![Part::ToolResult(result)] }];
        rendered(&Request { messages, ..Request::default() }, true)["input"][0]["output"].clone()
    };
    assert_eq!(output(vec![]), "Error:");
    assert_eq!(output(vec![Part::Text("no".into())]), "Error: no");
    let texts = ["Error:", "a", "b"].map(|text| json!({"type": "input_text", "text": text}));
    assert_eq!(output(vec![Part::Text("a".into()), Part::Text("b".into())]), json!(texts));
}

#[test]
fn what_responses_cannot_say_is_named() {
    let stop = Request { stop: vec!["x".to_owned()], ..Request::default() };
    assert_eq!(render_request(&stop, &target(true)).unwrap_err().field, "stop");
    let audio = Part::Audio { data: "AA".to_owned(), format: "wav".to_owned() };
    let audio = Request { messages: vec![Message { role: Role::User, parts: vec![Part::Text("a".into()), audio] }], ..Request::default() };
    assert_eq!(render_request(&audio, &target(true)).unwrap_err().field, "messages[0].content[1]");
}

#[test]
fn notes_come_back_with_the_answer() {
    let body = json!({"model": "m", "input": "hi", "metadata": {"order": "7"}});
    let answer: Value = serde_json::from_slice(&render_answer(&sample(), &echo(parsed(body)), &Closing { usage: Usage::default(), cost: None })).unwrap();
    assert_eq!(answer["metadata"], json!({"order": "7"}));
    let many: serde_json::Map<String, Value> = (0..17).map(|n| (n.to_string(), "x".into())).collect();
    for wrong in [json!("x"), json!({"a": 1}), json!({"a": "x".repeat(513)}), many.into()] {
        assert_eq!(refused(json!({"model": "m", "input": "hi", "metadata": wrong})), "metadata");
    }
}

#[test]
fn no_less_output_is_asked_for_than_openai_lets() {
    for (cap, asked) in [(1, 16), (16, 16), (17, 17)] {
        let body = render_request(&Request::default(), &Target { output_cap: Some(cap), ..target(true) }).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["max_output_tokens"], asked);
    }
}

fn call(id: &str, name: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned(), custom: false, signature: None, cache: None })
}

fn sample() -> Answer {
    let signed = |of, text: &str| {
        Part::Thought(Thought { text: text.to_owned(), summary: true, signature: Some(Signature { of, value: "sig".to_owned() }), ..Thought::default() })
    };
    let Part::ToolCall(mut sealed) = call("c4", "exec", "{}") else { unreachable!() };
    sealed.signature = Some(Signature { of: Dialect::Gemini, value: "AbC=".to_owned() });
    let redacted = Part::Thought(Thought { summary: true, redacted: Some(Signature { of: Dialect::Messages, value: "zz".to_owned() }), ..Thought::default() });
    Answer {
        id: Some("resp_up".to_owned()),
        parts: vec![
            signed(Dialect::Messages, "first\n\nsecond"),
            redacted,
            Part::Text("Hello \"you\"\n".into()),
            Part::Text("again".into()),
            call("c1", "exec", "{\"a\":1}"),
            call("c2", "apply_patch", "{\"input\":\"*** Begin\"}"),
            call("c3", "mcp__files__read", "{}"),
            Part::ToolCall(sealed),
            call("c5", "local_shell", "{\"command\":[\"ls\"]}"),
        ],
        stop: Stop::ToolUse,
        usage: UsageReport::Absent,
    }
}

fn events(answer: &Answer) -> Vec<Event> {
    let mut out = vec![Event::Start { id: answer.id.clone() }];
    for (index, part) in answer.parts.iter().enumerate() {
        let (opening, text, signature) = match part.clone() {
            Part::Text(text) => (Opening::Text, text.text, None),
            Part::Refusal(text) => (Opening::Refusal, text, None),
            Part::Thought(Thought { id, text, summary, signature, redacted }) => (Opening::Thought { id, summary, redacted }, text, signature),
            Part::ToolCall(call) => (Opening::ToolCall { id: call.id, name: call.name, custom: call.custom, signature: call.signature }, call.arguments, None),
            _ => unreachable!(),
        };
        let is_call = matches!(opening, Opening::ToolCall { .. });
        out.push(Event::Open { index, part: opening });
        for letter in text.chars() {
            out.push(Event::Grow { index, delta: if is_call { Delta::Arguments(letter.to_string()) } else { Delta::Text(letter.to_string()) } });
        }
        out.extend(signature.map(|signature| Event::Grow { index, delta: Delta::Signature(signature) }));
        out.push(Event::Close { index });
    }
    out.push(Event::Stop(answer.stop.clone()));
    out
}

const USED: Usage = Usage {
    input: 10,
    cached: 5,
    cache_write: 2,
    output: 7,
    reasoning: 3,
    cache_write_1h: 0,
    audio_input: 0,
    image_input: 0,
    audio_output: 0,
    image_output: 0,
    images: 0,
    audio_ms: 0,
    characters: 0,
    searches: 0,
};

fn streamed(answer: &Answer, request: Request) -> Vec<Value> {
    let (mut renderer, mut out) = (StreamRenderer::new(echo(request)), BytesMut::new());
    events(answer).into_iter().for_each(|event| renderer.push(event, &mut out));
    renderer.finish(&Closing { usage: USED, cost: Some("0.00012") }, &mut out);
    data(&out)
}

fn data(out: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(out).unwrap();
    let blocks = text.split("\n\n").filter(|block| !block.is_empty() && !block.starts_with(':'));
    let read = |block: &str| {
        let (name, data) = block.split_once('\n').unwrap();
        let value: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name, format!("event: {}", value["type"].as_str().unwrap()));
        value
    };
    blocks.map(read).collect()
}

#[test]
fn a_stream_ends_in_the_answer_that_is_written_whole() {
    let answer = sample();
    let request = parsed(codex());
    let whole: Value = serde_json::from_slice(&render_answer(&answer, &echo(request.clone()), &Closing { usage: USED, cost: Some("0.00012") })).unwrap();
    let events = streamed(&answer, request);
    let last = events.last().unwrap();
    assert_eq!(last["type"], "response.completed");
    assert_eq!(last["response"], whole);
    assert_eq!(whole["usage"]["input_tokens"], 17);
    assert_eq!(whole["usage"]["cost"], json!(0.00012));
    let kinds: Vec<_> = whole["output"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds,
        ["reasoning", "reasoning", "message", "function_call", "custom_tool_call", "function_call", "reasoning", "function_call", "local_shell_call"]
    );
    assert_eq!(whole["output"][4]["input"], "*** Begin");
    assert_eq!((&whole["output"][5]["name"], &whole["output"][5]["namespace"]), (&json!("read"), &json!("mcp__files")));
    assert_eq!(whole["tools"][2]["type"], "namespace");
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], at);
    }
    let done: Vec<_> = events.iter().filter(|event| event["type"] == "response.output_item.done").map(|event| event["item"].clone()).collect();
    assert_eq!(Value::from(done), whole["output"]);
    let added = events.iter().filter(|event| event["type"] == "response.output_item.added").map(|event| event["output_index"].as_u64().unwrap());
    assert_eq!(added.collect::<Vec<_>>(), (0..9).collect::<Vec<_>>());
}

/// The answer that the events of a stream amount to.
fn gathered(events: &[Event]) -> Answer {
    let mut answer = Answer { id: None, parts: Vec::new(), stop: Stop::End, usage: UsageReport::Absent };
    for event in events.iter().cloned() {
        match event {
            Event::Start { id } => answer.id = id,
            Event::Open { index, part } => {
                assert_eq!(index, answer.parts.len());
                answer.parts.push(match part {
                    Opening::Text => Part::Text(Text::default()),
                    Opening::Refusal => Part::Refusal(String::new()),
                    Opening::Thought { id, summary, redacted } => Part::Thought(Thought { id, summary, redacted, ..Thought::default() }),
                    Opening::ToolCall { id, name, custom, signature } => {
                        Part::ToolCall(ToolCall { id, name, arguments: String::new(), custom, signature, cache: None })
                    }
                });
            }
            Event::Grow { index, delta } => match (&mut answer.parts[index], delta) {
                (Part::Text(text), Delta::Text(more)) => text.text.push_str(&more),
                (Part::Refusal(text), Delta::Text(more)) => text.push_str(&more),
                (Part::Thought(thought), Delta::Text(more)) => thought.text.push_str(&more),
                (Part::Thought(thought), Delta::Signature(seal)) => thought.signature = Some(seal),
                (Part::ToolCall(call), Delta::Arguments(more)) => call.arguments.push_str(&more),
                (part, delta) => panic!("{part:?} {delta:?}"),
            },
            Event::Usage(usage) => answer.usage = UsageReport::Usage(usage),
            Event::Stop(stop) => answer.stop = stop,
            Event::Close { .. } | Event::Ping => {}
        }
    }
    answer
}

fn read_stream<'a>(data: impl Iterator<Item = &'a Value>) -> Result<Answer, Broken> {
    let (mut parser, mut out) = (StreamParser::new(), Vec::new());
    for value in data {
        parser.push(&value.to_string(), &mut out)?;
    }
    parser.finish(&mut out)?;
    assert!(parser.is_done());
    let opened = out.iter().filter(|event| matches!(event, Event::Open { .. })).count();
    assert_eq!(out.iter().filter(|event| matches!(event, Event::Close { .. })).count(), opened);
    Ok(gathered(&out))
}

#[test]
fn a_stream_is_read_as_the_whole_answer_is_with_and_without_its_deltas() {
    let events = streamed(&sample(), parsed(codex()));
    let whole = parse_answer(events.last().unwrap()["response"].to_string().as_bytes()).unwrap();
    assert!(matches!(whole.usage, UsageReport::Usage(_)));
    assert_eq!(whole.parts.len(), 9);
    assert_eq!(read_stream(events.iter()).unwrap(), whole);
    let bare = events.iter().filter(|event| !event["type"].as_str().unwrap().ends_with(".delta"));
    assert_eq!(read_stream(bare).unwrap(), whole);
    let items = events.iter().filter(|event| event["type"].as_str().unwrap().matches('.').count() == 1 || event["type"] == "response.output_item.done");
    assert_eq!(read_stream(items).unwrap(), whole);
    assert_eq!(read_stream(events.last().into_iter()).unwrap(), whole);
    assert!(matches!(read_stream(events[..events.len() - 1].iter()), Err(Broken::Garbage(_))));
    let Part::ToolCall(sealed) = &whole.parts[7] else { panic!() };
    assert_eq!(sealed.signature, Some(Signature { of: Dialect::Gemini, value: "AbC=".to_owned() }));
}

#[test]
fn an_answer_ends_as_it_did() {
    for (stop, parts, status, reason, back) in [
        (Stop::End, vec![Part::Text("a".into())], "completed", Value::Null, Stop::End),
        (Stop::Sequence(Some("x".to_owned())), vec![Part::Text("a".into())], "completed", Value::Null, Stop::End),
        (Stop::Length, vec![Part::Text("a".into())], "incomplete", json!({"reason": "max_output_tokens"}), Stop::Length),
        (Stop::Filter, vec![], "incomplete", json!({"reason": "content_filter"}), Stop::Filter),
        (Stop::Refusal, vec![Part::Refusal("no".to_owned())], "completed", Value::Null, Stop::Refusal),
        (Stop::Refusal, vec![Part::Text("I".into())], "incomplete", json!({"reason": "content_filter"}), Stop::Filter),
        (Stop::ToolUse, vec![call("c", "f", "{}")], "completed", Value::Null, Stop::ToolUse),
    ] {
        let answer = Answer { id: None, parts, stop, usage: UsageReport::Absent };
        let body = render_answer(&answer, &echo(Request::default()), &Closing::default());
        let value: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&value["status"], &value["incomplete_details"], &value["id"]), (&json!(status), &reason, &json!("resp_r1")));
        assert_eq!(parse_answer(&body).unwrap().stop, back);
        let events = streamed(&answer, Request::default());
        assert_eq!(events.last().unwrap()["type"], format!("response.{status}"));
        assert_eq!(read_stream(events.iter()).unwrap().stop, back);
    }
}

#[test]
fn a_failure_is_told_twice_and_is_the_end() {
    let (mut renderer, mut out) = (StreamRenderer::new(echo(Request::default())), BytesMut::new());
    renderer.push(Event::Start { id: None }, &mut out);
    renderer.push(Event::Open { index: 0, part: Opening::Text }, &mut out);
    renderer.push(Event::Grow { index: 0, delta: Delta::Text("a".to_owned()) }, &mut out);
    renderer.push(Event::Ping, &mut out);
    renderer.fail("api_error", "upstream_error", "It broke.", &mut out);
    let events = data(&out);
    let [.., error, failed] = events.as_slice() else { panic!() };
    assert_eq!((&error["type"], &error["code"], &error["message"]), (&json!("error"), &json!("upstream_error"), &json!("It broke.")));
    assert_eq!((&failed["type"], &failed["response"]["error"]["code"]), (&json!("response.failed"), &json!("server_error")));
    assert!(matches!(read_stream(events.iter()), Err(Broken::Upstream(_))));
}

#[test]
fn what_servers_leave_out_or_add_does_no_harm() {
    let stream = [
        json!({"type": "response.created", "response": {"id": "r"}}),
        json!({"type": "response.something.new", "delta": {"odd": 1}, "output_index": "x"}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"type": "web_search_call", "id": "ws"}}),
        json!({"type": "response.reasoning_text.delta", "output_index": 1, "content_index": 0, "delta": "th"}),
        json!({"type": "response.reasoning_text.delta", "output_index": 1, "content_index": 0, "delta": "ink"}),
        json!({"type": "response.output_text.delta", "output_index": 2, "delta": "hi"}),
        json!({"type": "response.output_item.added", "output_index": 3, "item": {"type": "function_call", "name": "f", "arguments": ""}}),
        json!({"type": "response.function_call_arguments.delta", "output_index": 3, "delta": "{}"}),
        json!({"type": "response.completed", "response": {"id": "r", "status": "completed", "output": [], "usage": {"input_tokens": 3, "output_tokens": 4}}}),
    ];
    let answer = read_stream(stream.iter()).unwrap();
    let thought = Part::Thought(Thought { text: "think".to_owned(), ..Thought::default() });
    assert_eq!(answer.parts, [thought, Part::Text("hi".into()), call("call_3", "f", "{}")]);
    assert_eq!((answer.id.as_deref(), answer.stop), (Some("r"), Stop::ToolUse));
    assert_eq!(answer.usage, UsageReport::Usage(Usage { input: 3, output: 4, ..Usage::default() }));
    for broken in ["", "[]", "{", r#"{"type":"response.output_text.delta","delta":5}"#, r#"{"type":"response.function_call_arguments.delta","delta":"x"}"#] {
        assert!(matches!(StreamParser::new().push(broken, &mut Vec::new()), Err(Broken::Garbage(_))), "{broken}");
    }
    for body in [r#"{"status":"failed","output":[],"error":{"code":"server_error","message":"x"}}"#, r#"{"error":{"message":"x"}}"#] {
        assert!(matches!(parse_answer(body.as_bytes()), Err(Broken::Upstream(_))), "{body}");
    }
    assert!(matches!(parse_answer(b"{}"), Err(Broken::Garbage(_))));
}
