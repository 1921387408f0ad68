//! The scanner on streams of each dialect.

use super::*;

const TEXT: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\n";
const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

/// Feeds `stream` in pieces of `size` bytes.
fn run(stream: &str, size: usize, include_usage: bool) -> (Scanner, String, bool, Option<Broken>) {
    let mut scanner = Scanner::new(Wire::Chat, include_usage);
    let (mut out, mut done, mut broken) = (String::new(), false, None);
    for piece in stream.as_bytes().chunks(size) {
        let passed = scanner.push(Bytes::copy_from_slice(piece));
        out.push_str(std::str::from_utf8(&passed.forward).unwrap());
        done |= passed.done;
        broken = broken.or(passed.broken);
        if done || broken.is_some() {
            break;
        }
    }
    (scanner, out, done, broken)
}

#[test]
fn pieces_of_any_size_come_to_the_same() {
    let stream = format!(": comment\n\n{TEXT}{TEXT}{TEXT}{USAGE}{DONE}");
    for size in 1..stream.len() {
        let (scanner, out, done, broken) = run(&stream, size, false);
        assert_eq!(out, format!(": comment\n\n{TEXT}{TEXT}{TEXT}"), "pieces of {size}");
        assert!(done && broken.is_none());
        assert_eq!(scanner.reported(), Some(Usage { input: 3, output: 2, ..Usage::default() }));
        assert!(scanner.kept_back.is_empty());
        let (scanner, out, ..) = run(&stream, size, true);
        assert_eq!(out, format!(": comment\n\n{TEXT}{TEXT}{TEXT}"));
        assert_eq!(&scanner.kept_back[..], USAGE.as_bytes());
    }
}

#[test]
fn a_report_before_the_last_words_is_none() {
    let (scanner, out, done, _) = run(&format!("{TEXT}{USAGE}{TEXT}{DONE}"), 7, false);
    assert_eq!((scanner.reported(), out, done), (None, format!("{TEXT}{TEXT}"), true));
}

#[test]
fn whole_events_pass_without_a_copy() {
    let stream = Bytes::from(format!("{TEXT}{TEXT}"));
    let passed = Scanner::new(Wire::Chat, false).push(stream.clone());
    assert_eq!(passed.forward.as_ptr(), stream.as_ptr());
    assert_eq!((passed.forward.len(), passed.events), (stream.len(), 2));
}

#[test]
fn lines_may_end_as_in_http() {
    let stream = format!("{TEXT}{USAGE}{DONE}").replace('\n', "\r\n");
    let (scanner, out, done, _) = run(&stream, 7, false);
    assert!(done && scanner.reported().is_some());
    assert_eq!(out, TEXT.replace('\n', "\r\n"));
}

#[test]
fn nonsense_breaks_the_stream() {
    let broken = |event: &str| run(&format!("{TEXT}data: {event}\n\n{TEXT}"), 4096, false);
    assert_eq!(broken("<html>").3, Some(Broken::Garbage));
    assert_eq!(broken("{\"usage\": oops}").3, Some(Broken::Garbage));
    assert_eq!(broken("{\"choices\":[],\"usage\":{\"prompt_tokens\":-3}}").3, Some(Broken::AbsurdUsage));
    let (_, out, _, why) = broken("{\"error\":{\"message\":\"org-upstream is overloaded\"}}");
    assert_eq!(why, Some(Broken::UpstreamError));
    assert_eq!(out, TEXT, "the upstream's own words stay here");
    let mut scanner = Scanner::new(Wire::Chat, false);
    let endless = Bytes::from(vec![b'x'; 1 << 20]);
    assert!((0..64).any(|_| scanner.push(endless.clone()).broken == Some(Broken::TooLong)));
}

#[test]
fn a_false_start_is_seen_before_anything_is_passed_on() {
    let start = |text: &str| false_start(Wire::Chat, &Bytes::copy_from_slice(text.as_bytes()));
    assert!(start("data: {\"error\":{\"message\":\"overloaded\"}}\n\n").is_some_and(|why| why.contains("overloaded")));
    assert!(start("data: <html>\n\n").is_some() && start(DONE).is_some());
    assert!(start(&format!("{USAGE}{DONE}")).is_some());
    for good in [format!("{TEXT}{DONE}"), format!("{TEXT}data: <html>\n\n"), TEXT[..9].to_owned(), ": wait\n\n".to_owned(), String::new()] {
        assert_eq!(start(&good), None, "{good}");
    }
}

#[test]
fn the_text_of_delivered_events_is_collected() {
    let mut text = String::new();
    append_text(Wire::Chat, format!("{TEXT}: x\n\n{TEXT}").as_bytes(), &mut text);
    assert_eq!(text, "hihi");
}

#[test]
fn a_stream_without_its_last_words_is_complete_when_nothing_is_missing() {
    let end = |stream: &str| {
        let (mut scanner, out, done, broken) = run(stream, 4096, true);
        assert!(!done && broken.is_none(), "{stream}");
        let is_complete = scanner.end();
        (is_complete, out + std::str::from_utf8(&scanner.take_kept_back()).unwrap())
    };
    let reason = "data: {\"choices\":[{\"delta\":{},\"finish_reason\": \"stop\"}]}\n\n";
    let both = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n";
    for (stream, passed) in [
        (format!("{TEXT}{reason}{USAGE}"), format!("{TEXT}{reason}{USAGE}")),
        (format!("{TEXT}{reason}{}", USAGE.trim_end()), format!("{TEXT}{reason}{USAGE}")),
        (format!("{TEXT}{}", both.trim_end()), format!("{TEXT}{both}")),
        (format!("{TEXT}{}\r\n", both.trim_end()), format!("{TEXT}{}\r\n\n", both.trim_end())),
        (format!("{TEXT}{USAGE}data: [DONE]"), format!("{TEXT}{USAGE}")),
        (format!("{TEXT}{USAGE}data: [DONE]\n"), format!("{TEXT}{USAGE}")),
    ] {
        assert_eq!(end(&stream), (true, passed), "{stream}");
    }
    let none = "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n";
    for stream in [
        format!("{TEXT}{none}{USAGE}"),
        format!("{TEXT}{reason}"),
        format!("{TEXT}{reason}{}", &USAGE[..USAGE.len() - 3]),
        format!("{TEXT}{USAGE}data: {{\"choices\":[{{\"finish_reason\":\"stop\"}}"),
        format!("{TEXT}data: <html>"),
        TEXT.to_owned(),
    ] {
        assert!(!end(&stream).0, "{stream}");
    }
    let completed = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":9,\"output_tokens\":5}}}";
    let (_, kept, done, usage) = pass(Wire::Responses, completed, 4096);
    assert_eq!((kept, done, usage.map(|usage| usage.output)), (format!("{completed}\n\n"), true, Some(5)));
}

#[test]
fn the_beginning_of_a_responses_stream_is_kept_for_its_end() {
    for length in [1, 100_000] {
        let text = "x".repeat(length);
        let created = format!("{{\"type\":\"response.created\",\"response\":{{\"id\":\"resp_1\",\"instructions\":\"{text}\"}}}}");
        let mut scanner = Scanner::new(Wire::Responses, true);
        let passed = scanner.push(Bytes::from(format!("event: response.created\ndata: {created}\n\n")));
        assert_eq!((passed.events, passed.broken), (1, None));
        let kept = scanner.created().unwrap();
        assert!(kept.len() <= MAX_CREATED && memmem::find(kept, b"\"id\":\"resp_1\"").is_some());
    }
}

const MESSAGES: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":4,\"output_tokens\":1}}}\n\n\
    event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
    event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n";
const MESSAGES_END: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\n\
    event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// Feeds a stream of any dialect in pieces of `size` bytes: what passed, what was kept back, whether it is complete, and the usage.
fn pass(wire: Wire, stream: &str, size: usize) -> (String, String, bool, Option<Usage>) {
    let mut scanner = Scanner::new(wire, true);
    let (mut out, mut done) = (String::new(), false);
    for piece in stream.as_bytes().chunks(size) {
        let passed = scanner.push(Bytes::copy_from_slice(piece));
        assert_eq!(passed.broken, None, "{wire:?}");
        out.push_str(std::str::from_utf8(&passed.forward).unwrap());
        done |= passed.done;
        if done {
            break;
        }
    }
    let done = done || scanner.end();
    let kept = String::from_utf8(scanner.take_kept_back().to_vec()).unwrap();
    (out, kept, done, scanner.reported())
}

#[test]
fn each_dialect_keeps_its_end_back() {
    let responses = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n";
    let completed = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"usage\":{\"input_tokens\":9,\"input_tokens_details\":{\"cached_tokens\":4},\
        \"output_tokens\":5,\"output_tokens_details\":{\"reasoning_tokens\":2}}}}\n\n";
    let gemini =
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"hi\"}]}}],\"usageMetadata\":{\"promptTokenCount\":5,\"candidatesTokenCount\":1}}\r\n\r\n";
    let last = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"!\"}]},\"finishReason\":\"STOP\"}],\"usageMetadata\":{\"promptTokenCount\":5,\"candidatesTokenCount\":2,\"thoughtsTokenCount\":3}}\r\n\r\n";
    for size in [1, 7, 64, 4096] {
        let (out, kept, done, usage) = pass(Wire::Messages, &format!("{MESSAGES}{MESSAGES_END}"), size);
        assert_eq!((out.as_str(), kept.as_str(), done), (MESSAGES, MESSAGES_END, true));
        assert_eq!(usage, Some(Usage { input: 10, cached: 4, output: 7, ..Usage::default() }));
        let (out, kept, done, usage) = pass(Wire::Responses, &format!("{responses}{completed}"), size);
        assert_eq!((out.as_str(), kept.as_str(), done), (responses, completed, true));
        assert_eq!(usage, Some(Usage { input: 5, cached: 4, output: 3, reasoning: 2, ..Usage::default() }));
        let (out, kept, done, usage) = pass(Wire::Gemini, &format!("{gemini}{last}"), size);
        assert_eq!((out.as_str(), kept.as_str(), done), (gemini, last, true));
        assert_eq!(usage, Some(Usage { input: 5, output: 2, reasoning: 3, ..Usage::default() }));
    }
    let (_, _, done, usage) = pass(Wire::Gemini, gemini, 4096);
    assert!(!done && usage.is_none(), "without a reason for its end a stream is not complete");
    let mut text = String::new();
    append_text(Wire::Messages, MESSAGES.as_bytes(), &mut text);
    append_text(Wire::Responses, responses.as_bytes(), &mut text);
    append_text(Wire::Gemini, gemini.as_bytes(), &mut text);
    assert_eq!(text, "hihihi");
}
