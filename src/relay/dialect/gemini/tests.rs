use super::super::canonical::*;
use super::super::{Closing, Dialect, Echo, Target};
use super::*;
use crate::kernel::Usage;
use crate::relay::report::UsageReport;
use bytes::BytesMut;
use serde_json::{Value, json};
use std::sync::Arc;

fn parsed(body: Value) -> Request {
    parse_request(body.to_string().as_bytes(), "m", false).unwrap()
}

fn target(model: &str) -> Target<'_> {
    Target { model, output_cap: Some(100), default_cap: 4096, is_openai: false }
}

fn rendered(request: &Request, model: &str) -> Value {
    serde_json::from_slice(&render_request(request, &target(model)).unwrap()).unwrap()
}

fn echo() -> Echo {
    Echo { request: Arc::new(Request::default()), model: "m".to_owned(), id: "r1".to_owned(), created: 1_700_000_000, include_usage: false, input_tokens: 7 }
}

fn text(text: &str) -> Part {
    Part::Text(text.into())
}

fn seal(of: Dialect, value: &str) -> Signature {
    Signature { of, value: value.to_owned() }
}

fn call(id: &str, name: &str, arguments: &str, signature: Option<Signature>) -> Part {
    Part::ToolCall(ToolCall { id: id.to_owned(), name: name.to_owned(), arguments: arguments.to_owned(), custom: false, signature, cache: None })
}

fn thought(text: &str, signature: Option<Signature>) -> Part {
    Part::Thought(Thought { text: text.to_owned(), summary: true, signature, ..Thought::default() })
}

fn full() -> Value {
    json!({
        "system_instruction": {"parts": [{"text": "Be brief."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "look"}, {"inline_data": {"mime_type": "image/png", "data": "AAAA"}}, {"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}},
                {"inlineData": {"mimeType": "audio/mpeg", "data": "AAAA"}}, {"inlineData": {"mimeType": "text/plain", "data": "aGk="}}, {"fileData": {"fileUri": "https://a.example/b.png"}}]},
            {"role": "model", "parts": [{"text": "hm", "thought": true}, {"text": "yes", "thoughtSignature": "CiQB"}, {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "CiQC"},
                {"functionCall": {"name": "g"}}, {"functionCall": {"id": "own", "name": "f", "args": {"a": 2}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "g", "response": {"output": "done"}}}, {"functionResponse": {"name": "f", "response": {"x": 1, "y": [2]}}},
                {"functionResponse": {"id": "own", "name": "f", "response": {"error": "no"}}}]},
        ],
        "tools": [{"functionDeclarations": [
            {"name": "f", "description": "d", "parameters": {"type": "OBJECT", "properties": {"a": {"type": "INTEGER"}}}},
            {"name": "g", "parametersJsonSchema": {"type": "object"}},
        ]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        "generationConfig": {
            "temperature": 0.5, "topP": 0.9, "topK": 40, "maxOutputTokens": 100, "stopSequences": ["END"], "candidateCount": 1, "seed": 7,
            "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT", "properties": {}}, "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 1024},
        },
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    })
}

#[test]
fn a_request_is_read_whole() {
    let request = parsed(full());
    assert_eq!(request.instructions[0].text.text, "Be brief.");
    let Part::Audio { format, .. } = &request.messages[0].parts[3] else { panic!() };
    assert_eq!(format, "mp3");
    let Part::File(File { source: Source::Text(words), .. }) = &request.messages[0].parts[4] else { panic!() };
    assert_eq!(words, "hi");
    assert!(matches!(&request.messages[0].parts[5], Part::Image(Image { source: Source::Url(_), .. })));
    let sealed = |value| Some(seal(Dialect::Gemini, value));
    let said = [
        thought("hm", None),
        text("yes"),
        thought("", sealed("CiQB")),
        call("call_0", "f", r#"{"a":1}"#, sealed("CiQC")),
        call("call_1", "g", "{}", None),
        call("own", "f", r#"{"a":2}"#, None),
    ];
    assert_eq!(request.messages[1].parts, said);
    let results: Vec<_> = request.messages[2].parts.iter().map(|part| if let Part::ToolResult(result) = part { result } else { panic!() }).collect();
    let seen: Vec<_> = results.iter().map(|result| (result.call_id.as_str(), result.parts[0].clone(), result.is_error)).collect();
    assert_eq!(seen, [("call_1", text("done"), false), ("call_0", text(r#"{"x":1,"y":[2]}"#), false), ("own", text("no"), true)]);
    assert_eq!(request.tool_choice, Some(Choice::Named("f".to_owned())));
    assert_eq!(request.stop, ["END"]);
    let ToolKind::Function { parameters: Some(schema), .. } = &request.tools[0].kind else { panic!() };
    assert_eq!(schema["properties"]["a"]["type"], "integer");
    assert_eq!(request.reasoning, Some(Reasoning { budget: Some(1024), summary: Some("auto".to_owned()), ..Reasoning::default() }));
}

#[test]
fn a_request_comes_back_from_what_was_written_of_it() {
    let mut request = parsed(full());
    request.model = "gemini-2.5-flash".to_owned();
    let body = render_request(&request, &target("gemini-2.5-flash")).unwrap();
    assert_eq!(parse_request(&body, "gemini-2.5-flash", false).unwrap(), request);
}

#[test]
fn what_nobody_else_can_say_is_refused_by_name() {
    let with = |name: &str, value: Value| {
        let mut body = json!({"contents": [{"parts": [{"text": "hi"}]}]});
        body[name] = value;
        body
    };
    let part = |value: Value| with("contents", json!([{"role": "user", "parts": [value]}]));
    for (body, field) in [
        (json!({}), "contents"),
        (with("contents", json!(5)), "contents"),
        (with("contents", json!([{"role": "robot", "parts": []}])), "contents[0].role"),
        (part(json!({})), "contents[0].parts[0].text"),
        (part(json!({"executableCode": {}})), "contents[0].parts[0].text"),
        (part(json!({"text": "a", "videoMetadata": {}})), "contents[0].parts[0].videoMetadata"),
        (part(json!({"functionCall": {"args": {}}})), "contents[0].parts[0].functionCall.name"),
        (part(json!({"functionResponse": {"name": "f", "response": {}}})), "contents[0].parts[0].functionResponse.name"),
        (part(json!({"inline_data": {"data": "AA"}})), "contents[0].parts[0].inlineData.mimeType"),
        (with("cached_content", json!("x")), "cachedContent"),
        (with("tools", json!([{"googleSearch": {}}])), "tools[0].googleSearch"),
        (with("tools", json!([{"functionDeclarations": [{}]}])), "tools[0].functionDeclarations[0].name"),
        (with("toolConfig", json!({"functionCallingConfig": {"mode": "SOME"}})), "toolConfig.functionCallingConfig.mode"),
        (with("generationConfig", json!({"candidateCount": 2})), "generationConfig.candidateCount"),
        (with("generationConfig", json!({"responseLogprobs": true})), "generationConfig.responseLogprobs"),
        (with("generationConfig", json!({"enableEnhancedCivicAnswers": true})), "generationConfig.enableEnhancedCivicAnswers"),
        (with("safetySettings", json!([{"threshold": "BLOCK_NONE"}, {"threshold": "BLOCK_LOW_AND_ABOVE"}])), "safetySettings[1].threshold"),
        (with("generationConfig", json!({"responseModalities": ["TEXT", "IMAGE"]})), "generationConfig.responseModalities"),
        (with("generationConfig", json!({"responseMimeType": "text/x.enum"})), "generationConfig.responseMimeType"),
        (with("generationConfig", json!({"thinkingConfig": {"thinkingBudget": -2}})), "generationConfig.thinkingConfig.thinkingBudget"),
        (with("generationConfig", json!({"maxOutputTokens": "5"})), "generationConfig.maxOutputTokens"),
        (with("odd", json!(1)), "odd"),
    ] {
        assert_eq!(parse_request(body.to_string().as_bytes(), "m", false).unwrap_err().field, field, "{body}");
    }
}

#[test]
fn what_gemini_has_no_word_for_is_said_as_well_as_can_be() {
    let user = |parts| Message { role: Role::User, parts };
    let custom = Tool { name: "patch".to_owned(), description: None, kind: ToolKind::Custom { format: None }, cache: None };
    let picture = Part::Image(Image { source: Source::Base64 { media_type: "image/png".to_owned(), data: "AAAA".to_owned() }, detail: None, cache: None });
    let result = ToolResult { call_id: "c".to_owned(), name: None, parts: vec![text("ok"), picture], is_error: false, custom: true, cache: None };
    let Part::ToolCall(made) = call("c", "patch", "*** Begin", Some(seal(Dialect::Messages, "x"))) else { unreachable!() };
    let foreign = [
        thought("t", Some(seal(Dialect::Messages, "x"))),
        Part::Thought(Thought { redacted: Some(Signature { of: Dialect::Messages, value: "r".to_owned() }), ..Thought::default() }),
    ];
    let said = foreign.into_iter().chain([Part::ToolCall(ToolCall { custom: true, ..made }), call("d", "patch", "broken", None)]).collect();
    let request = Request {
        messages: vec![
            user(vec![text("a"), text("")]),
            Message { role: Role::System { developer: true }, parts: vec![text("rule")] },
            Message { role: Role::Assistant, parts: said },
            user(vec![Part::ToolResult(result)]),
        ],
        tools: vec![custom],
        tool_choice: Some(Choice::Among { names: vec!["patch".to_owned()], required: false }),
        parallel_tool_calls: Some(false),
        ..Request::default()
    };
    let body = rendered(&request, "gemini-3-pro-preview");
    assert_eq!(body["contents"][0], json!({"role": "user", "parts": [{"text": "a"}, {"text": "rule"}]}));
    let calls = json!([
        {"functionCall": {"id": "c", "name": "patch", "args": {"input": "*** Begin"}}, "thoughtSignature": "skip_thought_signature_validator"},
        {"functionCall": {"id": "d", "name": "patch", "args": {"input": "broken"}}},
    ]);
    assert_eq!(body["contents"][1]["parts"], calls);
    let response = json!({"id": "c", "name": "patch", "response": {"output": "ok"}, "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]});
    assert_eq!(body["contents"][2]["parts"], json!([{"functionResponse": response}]));
    assert!(body["systemInstruction"]["parts"][0]["text"].as_str().unwrap().contains("at most one function"));
    assert_eq!(body["toolConfig"]["functionCallingConfig"]["mode"], "VALIDATED");
    assert_eq!(body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]["required"], json!(["input"]));
    let older = rendered(&request, "gemini-2.5-pro");
    assert!(older["contents"][1]["parts"][0].get("thoughtSignature").is_none());
    assert_eq!(older["contents"][2]["parts"].as_array().unwrap().len(), 2);
    let theirs = Part::File(File { source: Source::FileId { of: Dialect::Chat, id: "f".to_owned() }, name: None, cache: None });
    let request = Request { messages: vec![user(vec![theirs])], ..Request::default() };
    assert_eq!(render_request(&request, &target("m")).unwrap_err().field, "messages[0].content[0]");
}

fn sample() -> Answer {
    let redacted = Part::Thought(Thought { summary: true, redacted: Some(Signature { of: Dialect::Messages, value: "zz".to_owned() }), ..Thought::default() });
    Answer {
        id: Some("up".to_owned()),
        parts: vec![
            thought("think", Some(seal(Dialect::Messages, "s+/g"))),
            redacted,
            thought("", Some(seal(Dialect::Messages, "bare"))),
            text("Hello \"you\"\n"),
            thought("", Some(seal(Dialect::Gemini, "CiQB"))),
            call("c1", "f", r#"{"a":1}"#, Some(seal(Dialect::Gemini, "CiQC"))),
            call("c2", "g", "{}", None),
        ],
        stop: Stop::ToolUse,
        usage: UsageReport::Absent,
    }
}

fn events(answer: &Answer) -> Vec<Event> {
    let mut out = vec![Event::Start { id: answer.id.clone() }];
    for (index, part) in answer.parts.iter().enumerate() {
        let (opening, text, signature, is_call) = match part.clone() {
            Part::Text(text) => (Opening::Text, text.text, None, false),
            Part::Thought(Thought { id, text, summary, signature, redacted }) => (Opening::Thought { id, summary, redacted }, text, signature, false),
            Part::ToolCall(call) => {
                (Opening::ToolCall { id: call.id, name: call.name, custom: call.custom, signature: call.signature }, call.arguments, None, true)
            }
            _ => unreachable!(),
        };
        out.push(Event::Open { index, part: opening });
        for letter in text.chars().map(String::from) {
            out.push(Event::Grow { index, delta: if is_call { Delta::Arguments(letter) } else { Delta::Text(letter) } });
        }
        out.extend(signature.map(|signature| Event::Grow { index, delta: Delta::Signature(signature) }));
        out.push(Event::Close { index });
    }
    out.push(Event::Stop(answer.stop.clone()));
    out
}

fn closing() -> Closing<'static> {
    let usage = Usage { input: 10, cached: 5, output: 7, reasoning: 3, image_input: 2, ..Usage::default() };
    Closing { usage, cost: Some("0.00012") }
}

fn expected() -> Answer {
    Answer { usage: UsageReport::Usage(closing().usage), ..sample() }
}

fn read_stream(pieces: &[Value]) -> Result<Answer, Broken> {
    let (mut parser, mut out) = (StreamParser::new(), Vec::new());
    for piece in pieces {
        parser.push(&piece.to_string(), &mut out)?;
    }
    parser.finish(&mut out)?;
    let count = |wanted: fn(&Event) -> bool| out.iter().filter(|event| wanted(event)).count();
    assert_eq!(count(|event| matches!(event, Event::Open { .. })), count(|event| matches!(event, Event::Close { .. })));
    Ok(super::answer::gather(out))
}

fn streamed(renderer: &mut StreamRenderer) -> String {
    let mut out = BytesMut::new();
    events(&sample()).into_iter().for_each(|event| renderer.push(event, &mut out));
    renderer.push(Event::Ping, &mut out);
    renderer.finish(&closing(), &mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

#[test]
fn an_answer_is_the_same_whole_as_events_and_as_an_array() {
    let whole = render_answer(&sample(), &echo(), &closing());
    assert_eq!(parse_answer(&whole).unwrap(), expected());
    let whole: Value = serde_json::from_slice(&whole).unwrap();
    assert_eq!((&whole["candidates"][0]["finishReason"], &whole["modelVersion"], &whole["responseId"]), (&json!("STOP"), &json!("m"), &json!("up")));
    let used = json!({
        "cachedContentTokenCount": 5, "thoughtsTokenCount": 3, "promptTokenCount": 17, "candidatesTokenCount": 7, "totalTokenCount": 27,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 15}, {"modality": "IMAGE", "tokenCount": 2}], "cost": 0.00012,
    });
    assert_eq!(whole["usageMetadata"], used);
    let text = streamed(&mut StreamRenderer::new(echo()));
    let pieces: Vec<Value> = text.split("\n\n").filter_map(|block| block.strip_prefix("data: ")).map(|data| serde_json::from_str(data).unwrap()).collect();
    assert_eq!(read_stream(&pieces).unwrap(), expected());
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with("data: ")), "Google's clients know nothing else");
    let alive = |piece: &Value| *piece != json!({"candidates": [{"content": {"parts": [{"text": ""}], "role": "model"}, "index": 0}]});
    let array: Vec<Value> = serde_json::from_str(&streamed(&mut StreamRenderer::array(echo()))).unwrap();
    assert_eq!(array, pieces.into_iter().filter(alive).collect::<Vec<_>>());
}

#[test]
fn a_failure_is_an_error_in_either_form() {
    for (mut renderer, array) in [(StreamRenderer::new(echo()), false), (StreamRenderer::array(echo()), true)] {
        let mut out = BytesMut::new();
        renderer.push(Event::Open { index: 0, part: Opening::Text }, &mut out);
        renderer.push(Event::Grow { index: 0, delta: Delta::Text("a".to_owned()) }, &mut out);
        renderer.fail("insufficient_quota", "insufficient_quota", "No balance.", &mut out);
        let text = std::str::from_utf8(&out).unwrap();
        let last: Value = if array {
            serde_json::from_str::<Vec<Value>>(text).unwrap().pop().unwrap()
        } else {
            serde_json::from_str(text.trim_end().rsplit_once("data: ").unwrap().1).unwrap()
        };
        assert_eq!(last, json!({"error": {"code": 402, "message": "No balance.", "status": "FAILED_PRECONDITION"}}));
        assert!(matches!(read_stream(&[last]), Err(Broken::Upstream(_))));
    }
}

#[test]
fn what_servers_leave_out_or_add_does_no_harm() {
    let part = |part: Value| json!({"candidates": [{"content": {"role": "model", "parts": [part]}}], "responseId": "id"});
    let end = |reason: &str| json!({"candidates": [{"finishReason": reason}], "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 3}});
    let answer = read_stream(&[
        part(json!({"text": "a", "odd": 1})),
        json!({"candidates": [{"content": {}, "finishReason": "STOP"}, {"index": 1, "content": {"parts": [{"text": "other"}]}}]}),
        part(json!({"text": "b"})),
        part(json!({"text": ""})),
        part(json!({"functionCall": {"name": "f", "args": {"a": 1}}})),
        part(json!({"functionCall": {"name": "f", "args": {"a": 1}}})),
        part(json!({"inlineData": {"mimeType": "image/png", "data": "AA"}})),
        end("STOP"),
    ])
    .unwrap();
    assert_eq!(answer.parts[0], text("ab"));
    assert_eq!(answer.parts[3], text("![image](data:image/png;base64,AA)"));
    let ids: Vec<_> = answer.parts.iter().filter_map(|part| if let Part::ToolCall(call) = part { Some(call.id.clone()) } else { None }).collect();
    assert!(ids.len() == 2 && ids[0] != ids[1] && ids[0].starts_with("call_0_"), "{ids:?}");
    assert_eq!((answer.stop, answer.usage), (Stop::ToolUse, UsageReport::Usage(Usage { input: 3, ..Usage::default() })));
    for (reason, stop) in [("MAX_TOKENS", Stop::Length), ("SAFETY", Stop::Filter), ("OTHER", Stop::End), ("STOP", Stop::End)] {
        assert_eq!(read_stream(&[part(json!({"text": "a"})), end(reason)]).unwrap().stop, stop);
    }
    let blocked = json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}});
    assert_eq!(parse_answer(blocked.to_string().as_bytes()).unwrap().stop, Stop::Filter);
    assert!(matches!(read_stream(&[end("MALFORMED_FUNCTION_CALL")]), Err(Broken::Upstream(_))));
    assert!(matches!(read_stream(&[part(json!({"text": "a"}))]), Err(Broken::Garbage(_))));
    for garbage in ["", "[]", "{\"candidates\":5}", "{}"] {
        assert!(matches!(parse_answer(garbage.as_bytes()), Err(Broken::Garbage(_))), "{garbage}");
    }
}
