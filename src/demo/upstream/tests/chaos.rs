//! Failures at random, resets, pauses that errors ask for, wrong types, and a cache that fills by itself.

use super::*;

/// The faults of forty requests, in order.
async fn faults(directive: &str) -> Vec<Option<Fault>> {
    let upstream = upstream().await;
    upstream.behave(directive).unwrap();
    let caller = client();
    for _ in 0..40 {
        let request = caller.post(upstream.base_url() + "/v1/chat/completions").header("connection", "close").json(&streaming("demo-chat", "Hi"));
        if let Ok(response) = request.send().await {
            drain(response).await.0.clear();
        }
    }
    upstream.log().wait_idle().await.unwrap().into_iter().map(|request| request.fault).collect()
}

#[tokio::test]
async fn chance_is_repeatable_and_strikes_about_as_often_as_was_asked() {
    let some = faults("flaky=50, seed=7").await;
    assert_eq!(some, faults("flaky=50, seed=7").await);
    assert_ne!(some, faults("flaky=50, seed=8").await);
    let struck = some.iter().flatten().count();
    assert!((8..=32).contains(&struck), "{struck}");
    assert!(some.iter().flatten().all(|fault| matches!(fault, Fault::Status(408 | 409 | 429 | 500..) | Fault::HangUp | Fault::Reset(None))));
    assert_eq!(faults("flaky=0").await.iter().flatten().count(), 0);
    let all = faults("chaos=100, seed=3").await;
    assert_eq!(all.iter().flatten().count(), 40);
    assert!(all.iter().flatten().any(|fault| matches!(fault, Fault::Status(401..=403))) && all.contains(&Some(Fault::Cut(2))));
}

#[tokio::test]
async fn what_is_not_struck_is_answered_as_ever() {
    let upstream = upstream().await;
    upstream.behave("chaos=50, seed=11").unwrap();
    for round in 0..20 {
        let text = format!("Question number {round}");
        let response = chat(&upstream, &streaming("demo-chat", &text)).send().await;
        let spared = upstream.log().last().unwrap().fault.is_none();
        if spared {
            let body = response.unwrap().text().await.unwrap();
            assert_eq!(said(&events(&body), 0), answer_to(&text));
        }
    }
}

#[tokio::test]
async fn a_connection_can_be_reset_before_and_after_the_first_byte() {
    let upstream = upstream().await;
    let whole = chat(&upstream, &question("demo-reset", "Hi")).send().await.unwrap_err();
    assert!(is_reset(&whole), "{whole:?}");
    let (body, end) = drain(chat(&upstream, &streaming("demo-reset-4", "Hi")).send().await.unwrap()).await;
    assert!(is_reset(&end.unwrap_err()));
    let served = outcome(&upstream).await;
    assert_eq!((served.chunks, served.outcome), (4, Outcome::Cut));
    assert_eq!(said(&events(&String::from_utf8(body).unwrap()), 0), served.text);
}

fn is_reset(error: &reqwest::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset) {
            return true;
        }
        source = error.source();
    }
    false
}

#[tokio::test]
async fn errors_ask_for_the_pause_that_was_wanted() {
    let upstream = upstream().await;
    let pause = |text: &str| {
        let request = chat(&upstream, &question("demo-chat", text)).send();
        async move { request.await.unwrap().headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned()) }
    };
    assert_eq!(pause("[[429]]").await.as_deref(), Some("1"));
    assert_eq!(pause("[[429, retry-after=20]]").await.as_deref(), Some("20"));
    assert_eq!(pause("[[500, retry-after=3]]").await.as_deref(), Some("3"));
    assert_eq!(pause("[[503, no-retry-after]]").await, None);
    assert_eq!(pause("[[402]]").await, None);
}

#[tokio::test]
async fn bodies_can_be_empty_or_of_the_wrong_type_and_paths_absent() {
    let upstream = upstream().await;
    let ask = |model: &str| chat(&upstream, &question(model, "Hi")).send();
    assert_eq!(ask("demo-empty").await.unwrap().bytes().await.unwrap().len(), 0);
    let wrong = ask("demo-wrong-type").await.unwrap();
    assert_eq!(wrong.headers()["content-type"], "text/plain; charset=utf-8");
    assert!(wrong.json::<Value>().await.unwrap()["choices"].is_array());
    assert_eq!(ask("demo-absent").await.unwrap().status(), 404);
    let large = ask("demo-large-usage-tokens-2").await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(large["usage"]["completion_tokens"], 2_000_000);
}

#[tokio::test]
async fn what_was_sent_before_is_cached() {
    let upstream = upstream().await;
    upstream.behave("caching").unwrap();
    let turn = |role: &str, text: &str| json!({"role": role, "content": text});
    let first = [turn("system", "Be kind to everybody"), turn("user", "Hello")];
    let longer = [first.as_slice(), &[turn("assistant", "Hi"), turn("user", "And now?")]].concat();
    let cached = |messages: &[Value], model: &str| {
        let request = chat(&upstream, &json!({"model": model, "messages": messages}));
        async move { value(request).await["usage"]["prompt_tokens_details"]["cached_tokens"].clone() }
    };
    let size = 4 + count_tokens("Be kind to everybody") + 4 + count_tokens("Hello");
    assert_eq!(cached(&first, "demo-chat").await, 0);
    assert_eq!(cached(&longer, "demo-chat").await, size);
    assert_eq!(cached(&first, "demo-chat").await, size);
    assert_eq!(cached(&first, "demo-mini").await, 0);
    assert_eq!(cached(&[turn("user", "Hello")], "demo-chat").await, 0);
}
