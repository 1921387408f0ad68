//! Answers that are kept for identical requests, end to end: who gets them, what they cost, and which are never kept.

use super::{INPUT, OUTPUT, ask, ask_stream, input_tokens, model};
use crate::harness::TestApp;
use crate::harness::app::Customer;
use farebox::catalog::ModelFields;
use farebox::kernel::Usd;
use reqwest::Response;
use serde_json::{Value, json};

/// A shop whose model keeps answers for an hour, with what else the form says.
async fn shop_with(caching: ModelFields) -> TestApp {
    let shop = TestApp::new().await;
    let plain = model("demo-chat", "1", "10");
    let fields = ModelFields {
        cache_ttl: "3600".to_owned(),
        name: plain.name,
        enabled: plain.enabled,
        input: plain.input,
        output: plain.output,
        cache_write: plain.cache_write,
        ..caching
    };
    shop.sell_as(fields).await;
    shop.channel("upstream", &shop.upstream.base_url(), &["demo-chat"], 0).await;
    shop
}

fn always() -> ModelFields {
    ModelFields { cache_when: "always".to_owned(), ..ModelFields::default() }
}

/// Whether an answer says that it was kept, and its text.
async fn read(answer: Response) -> (bool, String) {
    assert_eq!(answer.status(), 200);
    let hit = answer.headers().get("x-farebox-cache").map(|value| value.to_str().unwrap() == "hit");
    (hit.unwrap_or(false), answer.text().await.unwrap())
}

async fn chat(shop: &TestApp, customer: &Customer, body: &Value) -> (bool, String) {
    read(shop.chat(&customer.key, body.clone()).await).await
}

#[tokio::test]
async fn the_second_time_the_kept_answer_comes_at_once_and_costs_its_share() {
    for (factor, share) in [("", 0), ("0.25", 4), ("1", 1)] {
        let shop = shop_with(ModelFields { cache_factor: factor.to_owned(), ..always() }).await;
        let customer = shop.customer(Usd::dollars(1)).await;
        let text = "[[tokens=40]] Tell me";
        let full = input_tokens(text) * INPUT + 40 * OUTPUT;
        let again = if share == 0 { 0 } else { (full + share - 1) / share };
        for (turn, body) in [ask("demo-chat", text), ask_stream("demo-chat", text)].into_iter().enumerate() {
            let (first_hit, first) = chat(&shop, &customer, &body).await;
            shop.settled(&customer, 2 * turn + 1).await;
            let (asked, before) = (shop.upstream.log().count(), shop.available(customer.user.id).await);
            let (hit, kept) = chat(&shop, &customer, &body).await;
            assert_eq!((first_hit, hit), (false, true), "{body}");
            assert_eq!(first, kept, "byte for byte");
            assert_eq!(shop.upstream.log().count(), asked, "nobody was asked");
            assert_eq!(before - shop.available(customer.user.id).await, Usd(again), "{factor} {body}");
            let row = shop.requests(customer.user.id).await.remove(0);
            assert_eq!((row.outcome.as_str(), row.cost, row.output_tokens), ("cached", Usd(again), 40), "{row:?}");
            shop.settled(&customer, 2 * turn + 2).await;
        }
        // What the answer cost stands on it, too.
        let answer = shop.chat(&customer.key, ask("demo-chat", text)).await;
        assert_eq!(answer.headers()["x-farebox-cost-usd"].to_str().unwrap(), Usd(again).to_string());
        shop.finish().await;
    }
}

#[tokio::test]
async fn nobody_gets_the_answer_of_another_unless_the_admin_says_so() {
    for shared in ["", "on"] {
        let shop = shop_with(ModelFields { cache_shared: shared.to_owned(), ..always() }).await;
        let (one, other) = (shop.customer(Usd::dollars(1)).await, shop.customer(Usd::dollars(1)).await);
        for body in [ask("demo-chat", "What is mine?"), ask_stream("demo-chat", "What is mine?")] {
            assert!(!chat(&shop, &one, &body).await.0);
            assert_eq!(chat(&shop, &other, &body).await.0, shared == "on", "{shared} {body}");
            assert!(chat(&shop, &one, &body).await.0);
        }
        shop.finish().await;
    }
}

#[tokio::test]
async fn only_what_cannot_come_out_differently_is_kept_unless_the_admin_says_always() {
    for (when, warm) in [("", false), ("always", true)] {
        let shop = shop_with(ModelFields { cache_when: when.to_owned(), ..ModelFields::default() }).await;
        let customer = shop.customer(Usd::dollars(1)).await;
        for (extra, kept) in [(json!({"temperature": 0}), true), (json!({"temperature": 0.7}), warm), (json!({}), warm)] {
            let mut body = ask("demo-chat", "Once");
            body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            assert!(!chat(&shop, &customer, &body).await.0);
            assert_eq!(chat(&shop, &customer, &body).await.0, kept, "{when} {extra}");
        }
        let embed = async |text: &str| {
            let request = shop.http.post(shop.at("/v1/embeddings")).bearer_auth(&customer.key).json(&json!({"model": "demo-chat", "input": text}));
            read(request.send().await.unwrap()).await
        };
        let first = embed("a text").await;
        let second = embed("a text").await;
        assert_eq!((first.0, second.0, first.1 == second.1), (false, true, true), "an embedding is always the same");
        assert!(!embed("another").await.0);
        shop.finish().await;
    }
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let mut body = ask("demo-chat", "Once");
    body["temperature"] = json!(0);
    for _ in 0..2 {
        assert!(!chat(&shop, &customer, &body).await.0, "nothing is kept of a model that does not say so");
    }
    shop.finish().await;
}

#[tokio::test]
async fn what_failed_broke_off_or_was_only_counted_is_not_kept() {
    let shop = shop_with(always()).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    for directive in ["500", "cut=2", "no-usage", "error-event=2"] {
        for stream in [false, true] {
            let mut body = ask("demo-chat", &format!("[[{directive}]] Hello"));
            body["stream"] = json!(stream);
            for _ in 0..2 {
                let answer = shop.chat(&customer.key, body.clone()).await;
                assert!(!answer.headers().contains_key("x-farebox-cache"), "{directive} {stream}");
                let _ = answer.bytes().await;
                shop.until("it is settled", || async { shop.open_holds().await == 0 }).await;
            }
            // The channel has failed often enough to rest.
            shop.renew_channel().await;
        }
    }
    // A client that leaves in the middle.
    let body = ask_stream("demo-chat", "[[gate=3, tokens=30]] Hello");
    let mut answer = shop.chat(&customer.key, body.clone()).await;
    super::read_words(&mut answer, 3).await;
    drop(answer);
    shop.until("it is settled", || async { shop.open_holds().await == 0 }).await;
    let answer = shop.chat(&customer.key, body).await;
    assert!(!answer.headers().contains_key("x-farebox-cache"));
    drop(answer);
    shop.until("it is settled", || async { shop.open_holds().await == 0 }).await;
    shop.finish().await;
}

#[tokio::test]
async fn what_a_short_balance_cut_off_is_not_kept() {
    let shop = shop_with(ModelFields { cache_shared: "on".to_owned(), ..always() }).await;
    let text = "[[tokens=100]] Count to a hundred";
    for stream in [false, true] {
        let mut body = ask("demo-chat", text);
        body["stream"] = json!(stream);
        let poor = shop.customer(Usd(input_tokens(text) * INPUT + 40 * OUTPUT)).await;
        assert!(!chat(&shop, &poor, &body).await.0);
        assert_eq!(shop.upstream.log().last().unwrap().output_tokens, 40, "it was cut");
        let rich = shop.customer(Usd::dollars(1)).await;
        assert!(!chat(&shop, &rich, &body).await.0, "nobody gets the stump");
        assert_eq!(shop.upstream.log().last().unwrap().output_tokens, 100);
        assert!(chat(&shop, &rich, &body).await.0, "the whole answer is kept");
    }
    shop.finish().await;
}

impl TestApp {
    /// A channel with its failures forgotten.
    async fn renew_channel(&self) {
        let all = farebox::channels::list(&mut self.app.db.read().await.unwrap(), &self.app.secret).await.unwrap();
        self.remove(&all.iter().map(|channel| channel.id).collect::<Vec<_>>()).await;
        self.channel("upstream", &self.upstream.base_url(), &["demo-chat"], 0).await;
    }
}
