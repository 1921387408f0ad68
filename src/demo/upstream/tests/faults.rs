//! Answers that are wrong in the way that was asked for.

use super::*;

#[tokio::test]
async fn an_error_can_be_asked_for_in_three_places_and_for_all() {
    let upstream = upstream().await;
    let fine = question("demo-chat", "Hi");
    let by_model = chat(&upstream, &question("demo-429", "Hi")).send().await.unwrap();
    assert_eq!((by_model.status().as_u16(), &by_model.headers()["retry-after"]), (429, &"1".parse().unwrap()));
    assert_eq!(by_model.json::<Value>().await.unwrap()["error"]["code"], "rate_limit_exceeded");
    assert_eq!(chat(&upstream, &fine).header("x-demo-fail", "500").send().await.unwrap().status(), 500);
    assert_eq!(chat(&upstream, &question("demo-chat", "Hi [[503]]")).send().await.unwrap().status(), 503);
    assert_eq!(messages(&upstream, &question("demo-529", "Hi")).send().await.unwrap().status(), 529);
    upstream.behave("502").unwrap();
    assert_eq!(chat(&upstream, &fine).send().await.unwrap().status(), 502);
    upstream.behave("").unwrap();
    assert_eq!(chat(&upstream, &fine).send().await.unwrap().status(), 200);
    assert!(upstream.behave("flood").is_err());
}

#[tokio::test]
async fn answers_that_are_not_answers() {
    let upstream = upstream().await;
    let ask = |model: &str| chat(&upstream, &question(model, "Hi")).send();
    assert!(ask("demo-html").await.unwrap().text().await.unwrap().starts_with("<!doctype html>"));
    let redirect = ask("demo-redirect").await.unwrap();
    assert_eq!((redirect.status().as_u16(), &redirect.headers()["location"]), (302, &"/elsewhere".parse().unwrap()));
    assert!(ask("demo-hang-up").await.is_err());
    let bad = ask("demo-bad-json").await.unwrap();
    assert_eq!(bad.status(), 200);
    assert!(bad.json::<Value>().await.is_err());
    let error = ask("demo-error-event").await.unwrap();
    assert_eq!((error.status().as_u16(), error.json::<Value>().await.unwrap()["error"]["type"].clone()), (200, json!("server_error")));
    assert!(drain(ask("demo-cut").await.unwrap()).await.1.is_err());
    assert!(serde_json::from_slice::<Value>(&drain(ask("demo-torn").await.unwrap()).await.0).is_err());
    let not_json = chat(&upstream, &Value::Null).body("{").send().await.unwrap();
    assert_eq!(not_json.status(), 400);
}

#[tokio::test]
async fn usage_reports_can_lie() {
    let upstream = upstream().await;
    let upstream = &upstream;
    let usage = |body: Value| async move { value(chat(upstream, &body)).await["usage"].clone() };
    assert_eq!(usage(question("demo-no-usage", "Hi")).await, Value::Null);
    assert!(usage(question("demo-negative-usage", "Hi")).await["completion_tokens"].as_i64().unwrap() < 0);
    assert!(usage(question("demo-absurd-usage", "Hi")).await["prompt_tokens"].as_i64().unwrap() > 1 << 40);
    assert_eq!(usage(question("demo-cached-3", "Hi")).await["prompt_tokens_details"]["cached_tokens"], 3);
    let stream = chat(upstream, &streaming("demo-no-usage", "Hi")).send().await.unwrap().text().await.unwrap();
    assert!(stream.ends_with("data: [DONE]\n\n"));
    assert!(!stream.contains("prompt_tokens"));
    assert_eq!(upstream.log().last().unwrap().usage, None);
}

#[tokio::test]
async fn a_stream_can_break_and_the_log_knows_what_had_left() {
    for (model, ends_well, tail) in [("demo-cut-4", false, "\n\n"), ("demo-short-4", true, "\n\n"), ("demo-torn-4", true, "\"")] {
        let upstream = upstream().await;
        let (body, end) = drain(chat(&upstream, &streaming(model, "Go")).send().await.unwrap()).await;
        let body = String::from_utf8(body).unwrap();
        assert_eq!(end.is_ok(), ends_well, "{model}");
        assert!(!body.contains("[DONE]") && !body.contains("\"finish_reason\":\"stop\""), "{body}");
        assert_eq!(body.ends_with("\n\n"), tail == "\n\n", "{body}");
        let whole = body.rsplit_once("\n\n").unwrap().0;
        let served = outcome(&upstream).await;
        assert_eq!((served.chunks, served.text), (4, said(&events(whole), 0)), "{model}");
        assert_eq!(served.outcome, if ends_well { Outcome::Completed } else { Outcome::Cut });
    }
}

#[tokio::test]
async fn a_stream_can_carry_errors_and_garbage() {
    let upstream = upstream().await;
    let read = |request: RequestBuilder| async { drain(request.send().await.unwrap()).await.0 };
    let error = events(&String::from_utf8(read(chat(&upstream, &streaming("demo-error-event-2", "Go"))).await).unwrap());
    assert_eq!((error.len(), &error[3]["error"]["type"]), (4, &json!("server_error")));
    let anthropic = String::from_utf8(read(messages(&upstream, &streaming("claude-error-event", "Go"))).await).unwrap();
    assert!(anthropic.contains("event: error\n") && !anthropic.contains("message_stop"));
    assert!(String::from_utf8(read(chat(&upstream, &streaming("demo-bad-sse", "Go"))).await).is_err());
    let noise = String::from_utf8(read(chat(&upstream, &streaming("demo-noise", "Go"))).await).unwrap();
    assert!(noise.contains("{\"unfinished\": \n") && noise.ends_with("data: [DONE]\n\n"));
}

#[tokio::test]
async fn framing_changes_bytes_and_not_words() {
    let upstream = upstream().await;
    let plain = chat(&upstream, &streaming("demo-chat", "说说船")).send().await.unwrap().text().await.unwrap();
    for model in ["demo-split", "demo-crlf", "demo-comments"] {
        let other = chat(&upstream, &streaming(model, "说说船")).send().await.unwrap().text().await.unwrap();
        assert_eq!(said(&events(&other), 0), said(&events(&plain), 0), "{model}");
        assert_eq!(other.contains("\r\n"), model == "demo-crlf");
        assert_eq!(other.contains(": keep-alive\n\n"), model == "demo-comments");
    }
    let served = outcome(&upstream).await;
    assert_eq!((served.text, served.outcome), (said(&events(&plain), 0), Outcome::Completed));
}

#[tokio::test]
async fn an_endless_answer_goes_on_until_the_caller_leaves() {
    for body in [streaming("demo-endless", "Go"), question("demo-endless", "Go")] {
        let upstream = upstream().await;
        let mut response = chat(&upstream, &body).send().await.unwrap();
        let mut size = 0;
        while size < 20_000 {
            size += response.chunk().await.unwrap().unwrap().len();
        }
        drop(response);
        assert_eq!(outcome(&upstream).await.outcome, Outcome::CallerLeft);
    }
}

#[test]
fn switches_are_read_from_model_names() {
    let read = |model: &str| {
        let mut switches = Switches::default();
        switches.read_model(model);
        switches
    };
    for name in ["demo-chat", "gpt-4o-mini", "claude-sonnet-4-20250514", "gpt-3.5-turbo-0613", "text-embedding-3-large"] {
        assert_eq!(read(name), Switches::default(), "{name}");
    }
    assert_eq!(read("demo-tokens-40-no-usage"), Switches { tokens: Some(40), report: Report::Missing, ..Switches::default() });
    assert_eq!(read("openai/demo-cut-0").fault, Some(Fault::Cut(0)));
    assert_eq!(read("demo-tool-429"), Switches { tool: true, fault: Some(Fault::Status(429)), ..Switches::default() });
    assert_eq!(read("demo-stall").fault, Some(Fault::Stall(None)));
    assert_eq!(read("demo-error-event-7").fault, Some(Fault::ErrorEvent(7)));
    assert_eq!(read("demo-99999999999999999999-tokens").tokens, None);
}

#[test]
fn directives_leave_the_message() {
    let mut switches = Switches::default();
    assert_eq!(switches.read_message("Hello [[tokens=4, no-usage]] there [[cut]] and [[open"), "Hello  there  and [[open");
    assert_eq!(switches, Switches { tokens: Some(4), report: Report::Missing, fault: Some(Fault::Cut(3)), ..Switches::default() });
    assert_eq!(Switches::from_directive("tokens=many").unwrap_err().to_string(), "the simulated upstream has no switch \"tokens=many\"");
}
