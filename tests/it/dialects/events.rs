//! Streams for tests: an answer in pieces, and pieces back into an answer.

use super::echo;
use bytes::BytesMut;
use farebox::kernel::Usage;
use farebox::relay::dialect::canonical::{Answer, Broken, Delta, Event, Opening, Part, Request, Stop, Text, Thought, ToolCall};
use farebox::relay::dialect::{Closing, Dialect, StreamParser, StreamRenderer};
use farebox::relay::report::UsageReport;

/// An answer's events, its texts cut into pieces of `size` letters. Tool calls that neighbour each other grow side by side when `side_by_side`.
pub(super) fn cut(answer: &Answer, size: usize, side_by_side: bool) -> Vec<Event> {
    let mut out = vec![Event::Start { id: answer.id.clone() }];
    let is_call = |index: usize| matches!(answer.parts.get(index), Some(Part::ToolCall(_)));
    let mut at = 0;
    while at < answer.parts.len() {
        let group = if side_by_side && is_call(at) { (at..).take_while(|index| is_call(*index)).count() } else { 1 };
        let mut grown: Vec<Vec<Event>> = (at..at + group).map(|index| growth(index, &answer.parts[index], size)).collect();
        out.extend(grown.iter_mut().map(|events| events.remove(0)));
        while grown.iter().any(|events| !events.is_empty()) {
            out.extend(grown.iter_mut().filter(|events| !events.is_empty()).map(|events| events.remove(0)));
        }
        at += group;
    }
    if let UsageReport::Usage(usage) = answer.usage {
        out.push(Event::Usage(usage));
    }
    out.push(Event::Stop(answer.stop.clone()));
    out
}

fn growth(index: usize, part: &Part, size: usize) -> Vec<Event> {
    let pieces = |text: &str| -> Vec<String> { text.chars().collect::<Vec<_>>().chunks(size).map(|piece| piece.iter().collect()).collect() };
    let (part, deltas): (Opening, Vec<Delta>) = match part {
        Part::Text(text) => (Opening::Text, pieces(&text.text).into_iter().map(Delta::Text).collect()),
        Part::Refusal(text) => (Opening::Refusal, pieces(text).into_iter().map(Delta::Text).collect()),
        Part::Thought(thought) => {
            let words = pieces(&thought.text).into_iter().map(Delta::Text);
            let part = Opening::Thought { id: thought.id.clone(), summary: thought.summary, redacted: thought.redacted.clone() };
            (part, words.chain(thought.signature.clone().map(Delta::Signature)).collect())
        }
        Part::ToolCall(call) => {
            let part = Opening::ToolCall { id: call.id.clone(), name: call.name.clone(), custom: call.custom, signature: call.signature.clone() };
            (part, pieces(&call.arguments).into_iter().map(Delta::Arguments).collect())
        }
        other => panic!("no part of an answer: {other:?}"),
    };
    let grow = deltas.into_iter().map(|delta| Event::Grow { index, delta });
    [Event::Open { index, part }].into_iter().chain(grow).chain([Event::Close { index }]).collect()
}

/// The answer that events come to. Panics when they break the rules of [`Event`].
pub(super) fn gather(events: &[Event]) -> Answer {
    let mut parts: Vec<(Part, bool)> = Vec::new();
    let (mut id, mut stop, mut usage) = (None, None, UsageReport::Absent);
    let first = events.iter().position(|event| !matches!(event, Event::Usage(_)));
    for (at, event) in events.iter().enumerate() {
        assert!(matches!(event, Event::Start { .. }) == (Some(at) == first) && (stop.is_none() || matches!(event, Event::Usage(_))), "{events:?}");
        match event {
            Event::Start { id: given } => id.clone_from(given),
            Event::Open { index, part } => {
                assert_eq!(*index, parts.len(), "{events:?}");
                parts.push((opened(part), true));
            }
            Event::Grow { index, delta } => {
                let (part, is_open) = &mut parts[*index];
                assert!(*is_open, "{events:?}");
                grow(part, delta);
            }
            Event::Close { index } => assert!(std::mem::replace(&mut parts[*index].1, false), "{events:?}"),
            Event::Usage(now) => usage = UsageReport::Usage(*now),
            Event::Stop(reason) => stop = Some(reason.clone()),
            Event::Ping => {}
        }
    }
    assert!(parts.iter().all(|(_, is_open)| !is_open), "{events:?}");
    Answer { id, parts: parts.into_iter().map(|(part, _)| part).collect(), stop: stop.unwrap_or(Stop::End), usage }
}

fn opened(part: &Opening) -> Part {
    match part.clone() {
        Opening::Text => Part::Text(Text::default()),
        Opening::Refusal => Part::Refusal(String::new()),
        Opening::Thought { id, summary, redacted } => Part::Thought(Thought { id, summary, redacted, ..Thought::default() }),
        Opening::ToolCall { id, name, custom, signature } => Part::ToolCall(ToolCall { id, name, arguments: String::new(), custom, signature, cache: None }),
    }
}

fn grow(part: &mut Part, delta: &Delta) {
    match (part, delta) {
        (Part::Text(text), Delta::Text(piece)) => text.text.push_str(piece),
        (Part::Refusal(text), Delta::Text(piece)) => text.push_str(piece),
        (Part::Thought(thought), Delta::Text(piece)) => thought.text.push_str(piece),
        (Part::Thought(thought), Delta::Signature(seal)) => assert_eq!(thought.signature.replace(seal.clone()), None),
        (Part::ToolCall(call), Delta::Arguments(piece)) => call.arguments.push_str(piece),
        (part, delta) => panic!("{part:?} cannot grow by {delta:?}"),
    }
}

/// Writes events in a dialect, as the answer to `request`.
pub(super) fn write(dialect: Dialect, events: &[Event], request: &Request) -> String {
    let (mut renderer, mut out) = (StreamRenderer::new(dialect, false, echo(request.clone())), BytesMut::new());
    let mut usage = Usage::default();
    for event in events {
        if let Event::Usage(now) = event {
            usage = *now;
        }
        renderer.push(event.clone(), &mut out);
    }
    renderer.finish(&Closing { usage, cost: None }, &mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

/// Reads a stream in a dialect.
pub(super) fn read(dialect: Dialect, stream: &str) -> Result<Vec<Event>, Broken> {
    let (mut parser, mut out) = (StreamParser::new(dialect), Vec::new());
    for event in stream.split("\n\n") {
        if let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) {
            parser.push(data, &mut out)?;
        }
    }
    parser.finish(&mut out)?;
    Ok(out)
}
