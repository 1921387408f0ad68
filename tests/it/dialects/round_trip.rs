//! Whatever a dialect can say comes back as it was.

use super::generate::{self, Says};
use super::{DIALECTS, echo, events, target};
use farebox::relay::dialect::canonical::{Answer, Choice, Message, Part, Request, Role, Text, Thought, ToolKind, tie_results};
use farebox::relay::dialect::{self, Closing, Dialect};
use farebox::relay::report::UsageReport;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

fn check<S: Strategy>(strategy: S, test: impl Fn(S::Value)) {
    let mut runner = TestRunner::new(Config { cases: 192, failure_persistence: None, ..Config::default() });
    runner
        .run(&strategy, |value| {
            test(value);
            Ok(())
        })
        .unwrap();
}

/// One spelling for what has several: neighbours of one role are one turn, with the results of tools first.
fn normal(mut request: Request) -> Request {
    let mut messages: Vec<Message> = Vec::new();
    for message in request.messages {
        match messages.last_mut().filter(|last| last.role == message.role) {
            Some(last) => last.parts.extend(message.parts),
            None => messages.push(message),
        }
    }
    for message in messages.iter_mut().filter(|message| message.role == Role::User) {
        message.parts.sort_by_key(|part| !matches!(part, Part::ToolResult(_)));
    }
    tie_results(&mut messages);
    messages.iter_mut().for_each(|message| message.parts = message.parts.drain(..).map(as_summary).collect());
    request.messages = messages;
    // Not to keep to a schema is the default.
    for tool in &mut request.tools {
        if let ToolKind::Function { strict, .. } = &mut tool.kind {
            *strict = strict.filter(|strict| *strict);
        }
    }
    request.model = String::new();
    // Who may call nothing need not be told to call one at a time.
    request.parallel_tool_calls = request.parallel_tool_calls.filter(|_| request.tool_choice != Some(Choice::None));
    request.tool_choice = request.tool_choice.filter(|choice| *choice != Choice::Auto);
    request
}

/// Whether thoughts are a summary is for Responses alone to say, and there all that a caller gets is one; so are the ids of them.
fn as_summary(part: Part) -> Part {
    match part {
        Part::Thought(thought) => Part::Thought(Thought { id: None, summary: true, ..thought }),
        part => part,
    }
}

/// An answer without what its dialect cannot tell apart.
fn normal_answer(mut answer: Answer, dialect: Dialect) -> Answer {
    if matches!(dialect, Dialect::Responses | Dialect::Gemini) {
        answer.parts = answer.parts.into_iter().map(as_summary).collect();
    }
    answer
}

#[test]
fn requests_come_back_as_they_were() {
    for dialect in DIALECTS {
        check(generate::request(Says::of(dialect)), |request| {
            let body = dialect::render_request(dialect, &request, &target(dialect, &request, true)).unwrap();
            let back = dialect::parse_request(dialect, &body, "", request.stream).unwrap();
            assert_eq!(normal(back), normal(request), "{}", String::from_utf8_lossy(&body));
        });
    }
}

#[test]
fn answers_come_back_as_they_were() {
    for dialect in DIALECTS {
        check(generate::answer(Says::of(dialect), vec![dialect]), |answer| {
            let UsageReport::Usage(usage) = answer.usage else { panic!("no usage") };
            let body = dialect::render_answer(dialect, &answer, &echo(Request::default()), &Closing { usage, cost: None });
            let back = dialect::parse_answer(dialect, &body).unwrap();
            assert_eq!(normal_answer(back, dialect), normal_answer(answer, dialect), "{}", String::from_utf8_lossy(&body));
        });
    }
}

/// In a stream, texts side by side flow into one where the dialect has no bounds between them.
fn joined(mut answer: Answer, says: Says) -> Answer {
    if says.many_texts {
        return answer;
    }
    let mut parts: Vec<Part> = Vec::new();
    for part in answer.parts {
        match (parts.last_mut(), part) {
            (Some(Part::Text(Text { text, .. })), Part::Text(more)) => text.push_str(&more.text),
            (_, part) => parts.push(part),
        }
    }
    answer.parts = parts;
    answer
}

#[test]
fn streams_say_the_same_as_whole_answers_however_they_are_cut() {
    for dialect in DIALECTS {
        let says = Says::of(dialect);
        check((generate::answer(says, vec![dialect]), 1_usize..5, any::<bool>()), |(answer, size, side_by_side)| {
            let cut = events::cut(&answer, size, side_by_side);
            assert_eq!(events::gather(&cut), answer);
            let stream = events::write(dialect, &cut, &Request::default());
            let back = events::gather(&events::read(dialect, &stream).unwrap());
            assert_eq!(joined(normal_answer(back, dialect), says), joined(normal_answer(answer, dialect), says), "{stream}");
        });
    }
}

/// The next request of a caller who puts the answer into the conversation as it came.
fn next_request(dialect: Dialect, answer: &[u8]) -> Vec<u8> {
    let answer: Value = serde_json::from_slice(answer).unwrap();
    let hello = json!({"role": "user", "content": "hello"});
    let body = match dialect {
        Dialect::Chat => json!({"model": "m", "messages": [hello, answer["choices"][0]["message"]]}),
        Dialect::Messages => json!({"model": "m", "max_tokens": 9, "messages": [hello, {"role": "assistant", "content": answer["content"]}]}),
        Dialect::Responses => {
            let mut input = vec![hello];
            input.extend(answer["output"].as_array().unwrap().iter().cloned());
            json!({"model": "m", "input": input})
        }
        Dialect::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": "hello"}]}, answer["candidates"][0]["content"]]}),
    };
    body.to_string().into_bytes()
}

#[test]
fn an_answer_that_the_caller_sends_back_keeps_every_seal() {
    for dialect in DIALECTS {
        let says = Says { thought_ids: false, refusals: false, ..Says::of(dialect) };
        check(generate::answer(says, Dialect::ALL.to_vec()), |mut answer| {
            // A seal of Gemini's on a call goes with the call.
            if let Some(Part::ToolCall(call)) = answer.parts.iter_mut().find(|part| matches!(part, Part::ToolCall(_))) {
                call.signature = Some(farebox::relay::dialect::canonical::Signature { of: Dialect::Gemini, value: "seal".to_owned() });
            }
            let body = dialect::render_answer(dialect, &answer, &echo(Request::default()), &Closing::default());
            let back = dialect::parse_request(dialect, &next_request(dialect, &body), "", false).unwrap();
            let plain = |parts: Vec<Part>| -> Vec<Part> { parts.into_iter().map(as_summary).collect() };
            let parts = back.messages.into_iter().filter(|message| message.role == Role::Assistant).flat_map(|message| message.parts).collect();
            // An answer without anything is an empty text in some dialects.
            let parts: Vec<Part> = plain(parts).into_iter().filter(|part| *part != Part::Text(Text::default())).collect();
            assert_eq!(parts, plain(answer.parts), "{}", String::from_utf8_lossy(&body));
        });
    }
}
