//! A balance that is nearly out: the output cap is lowered to what it affords, and the charge never goes past it.

use super::{INPUT, OUTPUT, ask, ask_stream, error_of, input_tokens, model};
use crate::harness::TestApp;
use farebox::catalog::ModelFields;
use farebox::kernel::Usd;
use serde_json::{Value, json};

const TEXT: &str = "[[tokens=100]] Count to a hundred";

/// A balance for the input of [`TEXT`] and this many output tokens.
fn affords(output: i64) -> Usd {
    Usd(input_tokens(TEXT) * INPUT + output * OUTPUT)
}

#[tokio::test]
async fn the_cap_is_lowered_to_what_the_balance_affords_to_the_token() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat", "gpt-5-demo"]).await;
    let fields = [
        ("demo-chat", json!({}), "max_tokens"),
        ("gpt-5-demo", json!({}), "max_completion_tokens"),
        ("demo-chat", json!({"max_tokens": 5000}), "max_tokens"),
        ("demo-chat", json!({"max_completion_tokens": 5000}), "max_completion_tokens"),
        ("demo-chat", json!({"max_tokens": 20, "max_completion_tokens": 5000}), "max_completion_tokens"),
        ("demo-chat", json!({"max_tokens": null, "stream_options": null}), "max_tokens"),
    ];
    for stream in [false, true] {
        for (name, extra, field) in &fields {
            let customer = shop.customer(affords(40)).await;
            let mut body = if stream { ask_stream(name, TEXT) } else { ask(name, TEXT) };
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            let answer = shop.chat(&customer.key, body).await;
            assert_eq!(answer.status(), 200, "{extra}");
            answer.text().await.unwrap();
            let asked = shop.upstream.log().last().unwrap();
            assert_eq!((&asked.body[*field], asked.output_tokens), (&json!(40), 40), "{}", String::from_utf8_lossy(&asked.raw));
            assert_eq!(shop.available(customer.user.id).await, Usd::ZERO, "it was enough for exactly that");
            let rows = shop.requests(customer.user.id).await;
            assert_eq!((rows.len(), rows[0].cost, rows[0].output_tokens, rows[0].counted), (1, affords(40), 40, false));
        }
    }
    shop.finish().await;
}

#[tokio::test]
async fn under_the_floor_the_answer_is_402_and_at_the_floor_it_is_served() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let short = shop.customer(affords(16) - Usd(1)).await;
    let (status, error) = error_of(shop.chat(&short.key, ask("demo-chat", TEXT)).await).await;
    assert_eq!((status, &error["code"]), (402, &json!("insufficient_quota")));
    assert_eq!((shop.available(short.user.id).await, shop.open_holds().await, shop.upstream.log().count()), (affords(16) - Usd(1), 0, 0));
    let rows = shop.requests(short.user.id).await;
    assert_eq!((rows.len(), rows[0].outcome.as_str(), rows[0].status), (1, "refused", 402));

    let just = shop.customer(affords(16)).await;
    assert_eq!(shop.chat(&just.key, ask("demo-chat", TEXT)).await.status(), 200);
    assert_eq!(shop.available(just.user.id).await, Usd::ZERO);
    // Who asks for less than the floor gets it.
    let modest = shop.customer(affords(3)).await;
    let mut body = ask("demo-chat", TEXT);
    body["max_tokens"] = json!(3);
    assert_eq!(shop.chat(&modest.key, body).await.status(), 200);
    assert_eq!(shop.available(modest.user.id).await, Usd::ZERO);
    shop.finish().await;
}

#[tokio::test]
async fn several_choices_share_what_the_balance_affords() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(affords(59)).await;
    let mut body = ask("demo-chat", TEXT);
    body["n"] = json!(3);
    let answer: Value = shop.chat(&customer.key, body).await.json().await.unwrap();
    assert_eq!((answer["choices"].as_array().unwrap().len(), &answer["usage"]["completion_tokens"]), (3, &json!(57)));
    assert_eq!(shop.upstream.log().last().unwrap().body["max_tokens"], 19);
    assert_eq!(shop.available(customer.user.id).await, Usd(2 * OUTPUT));
    shop.finish().await;
}

#[tokio::test]
async fn a_balance_that_is_enough_leaves_the_request_alone() {
    let shop = TestApp::new().await;
    shop.sell_as(ModelFields { max_output_tokens: "200".to_owned(), ..model("demo-small", "1", "10") }).await;
    shop.channel("small", &shop.upstream.base_url(), &["demo-small"], 0).await;
    // Enough for the model's own limit, though not for one request of the size that is taken when nothing is known.
    let customer = shop.customer(affords(200)).await;
    let body = ask("demo-small", TEXT);
    assert_eq!(shop.chat(&customer.key, body.clone()).await.status(), 200);
    assert_eq!(shop.upstream.log().last().unwrap().body, body);
    assert_eq!(shop.available(customer.user.id).await, affords(200) - affords(100));
    shop.finish().await;
}

#[tokio::test]
async fn a_key_budget_lowers_the_cap_as_a_balance_does() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let (key, _) = shop.key(customer.user.id, Some(affords(40))).await;
    assert_eq!(shop.chat(&key, ask("demo-chat", TEXT)).await.status(), 200);
    assert_eq!(shop.upstream.log().last().unwrap().body["max_tokens"], 40);
    let (status, error) = error_of(shop.chat(&key, ask("demo-chat", TEXT)).await).await;
    assert_eq!((status, &error["code"]), (402, &json!("key_budget_exhausted")));
    assert_eq!(shop.available(customer.user.id).await, Usd::dollars(1) - affords(40));
    shop.finish().await;
}

#[tokio::test]
async fn pictures_are_held_for_however_their_names_are_spelled() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    // Far more than the letters of the request cost, less than what its pictures may.
    let customer = shop.customer(Usd(15_000_000)).await;
    for name in ["image_url", "image\\u005furl", "\\u0069mage_url"] {
        let part = format!(r#"{{"type":"{name}","{name}":{{"url":"https://example.com/a.png"}}}}"#);
        let parts = vec![part; 10].join(",");
        let body = format!(r#"{{"model":"demo-chat","max_tokens":20,"messages":[{{"role":"user","content":[{parts}]}}]}}"#);
        let answer = shop.http.post(shop.at("/v1/chat/completions")).bearer_auth(&customer.key).body(body).send().await.unwrap();
        let (status, _) = error_of(answer).await;
        assert_eq!(status, 402, "{name}");
    }
    assert_eq!((shop.upstream.log().count(), shop.available(customer.user.id).await), (0, Usd(15_000_000)));
    shop.finish().await;
}
