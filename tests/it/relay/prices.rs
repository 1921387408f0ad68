//! Which price is charged: that of the moment when the request began, of the tier that its input reached, and once for each request that was answered.

use super::{INPUT, OUTPUT, ask, ask_stream, input_tokens, model, read_words};
use crate::harness::TestApp;
use farebox::catalog::{self, ModelDraft, ModelFields};
use farebox::channels::ChannelFields;
use farebox::kernel::{Price, Usd};
use farebox::usage::Parts;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Nano-dollars for a token at so many dollars per million.
const fn nanos(dollars: i64) -> i64 {
    dollars * 1_000
}

async fn shop_with(fields: ModelFields) -> TestApp {
    let shop = TestApp::new().await;
    shop.sell_as(fields).await;
    shop.channel("upstream", &shop.upstream.base_url(), &["demo-chat"], 0).await;
    shop
}

#[tokio::test]
async fn the_price_when_the_request_began_is_charged() {
    let shop = shop_with(model("demo-chat", "1", "10")).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let question = "[[gate=2, tokens=20]] Hello";
    let mut answer = shop.chat(&customer.key, ask_stream("demo-chat", question)).await;
    read_words(&mut answer, 1).await;

    let before = shop.app.catalog.get("demo-chat").expect("the model").clone();
    let dearer = ModelDraft::parse(&model("demo-chat", "100", "1000")).expect("a valid model");
    catalog::save(&shop.app.db, &shop.app.kit, Some(before.id), &dearer).await.expect("the model is saved");
    shop.app.refresh().await.expect("the snapshots follow");
    let now = shop.app.kit.clock.now_ms();
    assert_eq!(shop.app.catalog.get("demo-chat").and_then(|model| model.prices_at(now)).map(|prices| prices.output), Some(Price(1_000_000_000_000)));

    shop.upstream.release_gate();
    answer.text().await.expect("the rest of the stream");
    let row = &shop.requests(customer.user.id).await[0];
    assert_eq!(row.cost, Usd(input_tokens(question) * INPUT + 20 * OUTPUT), "{row:?}");
    shop.finish().await;
}

#[tokio::test]
async fn a_price_that_changes_while_the_body_is_on_its_way_does_not_touch_the_request() {
    let shop = shop_with(model("demo-chat", "1", "10")).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let body = ask("demo-chat", "[[tokens=20]] Hello").to_string();
    let mut slow = TcpStream::connect(shop.url.trim_start_matches("http://")).await.unwrap();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: shop\r\nauthorization: Bearer {}\r\nexpect: 100-continue\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        customer.key,
        body.len()
    );
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    slow.read_exact(&mut go_on).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n", "the body is waited for: the request has begun");

    let before = shop.app.catalog.get("demo-chat").expect("the model").clone();
    let dearer = ModelDraft::parse(&model("demo-chat", "100", "1000")).expect("a valid model");
    let began = shop.app.kit.clock.now_ms();
    shop.until("time has passed", || async { shop.app.kit.clock.now_ms() > began }).await;
    catalog::save(&shop.app.db, &shop.app.kit, Some(before.id), &dearer).await.expect("the model is saved");
    shop.app.refresh().await.expect("the snapshots follow");

    slow.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let row = &shop.requests(customer.user.id).await[0];
    assert_eq!(row.cost, Usd(input_tokens("[[tokens=20]] Hello") * INPUT + 20 * OUTPUT), "{row:?}");
    shop.finish().await;
}

#[tokio::test]
async fn a_long_input_is_charged_by_its_tier() {
    let question = format!("[[tokens=10]] {}", "again and ".repeat(40));
    let length = input_tokens(&question);
    for (above, input, output) in [(length, 1, 10), (length - 1, 3, 20)] {
        let tier = ModelFields { tier1_above: above.to_string(), tier1_input: "3".into(), tier1_output: "20".into(), ..model("demo-chat", "1", "10") };
        let shop = shop_with(tier).await;
        let customer = shop.customer(Usd::dollars(1)).await;
        for body in [ask("demo-chat", &question), ask_stream("demo-chat", &question)] {
            shop.chat(&customer.key, body).await.text().await.expect("an answer");
            assert_eq!(shop.requests(customer.user.id).await[0].cost, Usd(length * nanos(input) + 10 * nanos(output)), "above {above}");
        }
        shop.finish().await;
    }
}

#[tokio::test]
async fn thoughts_have_a_price_of_their_own_and_show_on_the_row() {
    let shop = shop_with(ModelFields { reasoning: "40".into(), ..model("demo-chat", "1", "10") }).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let question = "[[tokens=10, reasoning=25]] Hello";
    for body in [ask("demo-chat", question), ask_stream("demo-chat", question)] {
        shop.chat(&customer.key, body).await.text().await.expect("an answer");
        let row = &shop.requests(customer.user.id).await[0];
        assert_eq!(row.cost, Usd(input_tokens(question) * nanos(1) + 10 * nanos(10) + 25 * nanos(40)));
        assert_eq!((row.output_tokens, row.parts), (35, Parts { reasoning: 25, ..Parts::default() }));
    }
    shop.finish().await;
}

/// What the shop pays is reckoned by the same kinds of usage as what it charges.
#[tokio::test]
async fn the_cost_of_a_request_knows_pictures_and_requests_as_well() {
    let shop = TestApp::new().await;
    shop.sell("demo-chat", "1", "10").await;
    shop.sell_as(ModelFields { image: "0.04".into(), ..model("dall-e-demo", "0", "0") }).await;
    let fields = TestApp::channel_fields("upstream", &shop.upstream.base_url(), &["demo-chat", "dall-e-demo"]);
    let costs = "demo-chat 0.5 4 request=0.001\ndall-e-demo 0 0 image=0.03".to_owned();
    shop.channel_as(None, &ChannelFields { costs, ..fields }).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let question = "[[tokens=10]] Hello";
    shop.chat(&customer.key, ask("demo-chat", question)).await.text().await.expect("an answer");
    let pictures = serde_json::json!({"model": "dall-e-demo", "prompt": "A ship", "n": 2});
    let answer = shop.http.post(shop.at("/v1/images/generations")).bearer_auth(&customer.key).json(&pictures).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    assert!(shop.chat(&customer.key, ask("demo-chat", "[[500]] Hello")).await.status().is_server_error());
    let mut conn = shop.db.db.read().await.unwrap();
    let sql = "SELECT upstream_cost FROM request WHERE user_id = $1 ORDER BY id";
    let paid: Vec<Option<i64>> = sqlx::query_scalar(sql).bind(customer.user.id.0).fetch_all(&mut *conn).await.unwrap();
    drop(conn);
    assert_eq!(paid, [Some(input_tokens(question) * nanos(1) / 2 + 10 * nanos(4) + 1_000_000), Some(60_000_000), Some(0)]);
    shop.finish().await;
}

#[tokio::test]
async fn a_request_has_its_price_when_it_is_answered_and_only_then() {
    let shop = shop_with(ModelFields { request: "0.05".into(), ..model("demo-chat", "0", "0") }).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    shop.chat(&customer.key, ask("demo-chat", "Hello")).await.text().await.expect("an answer");
    shop.chat(&customer.key, ask_stream("demo-chat", "Hello")).await.text().await.expect("an answer");
    let failed = shop.chat(&customer.key, ask("demo-chat", "[[500]] Hello")).await;
    assert!(failed.status().is_server_error());
    let costs: Vec<Usd> = shop.requests(customer.user.id).await.iter().map(|row| row.cost).collect();
    assert_eq!(costs, [Usd::ZERO, Usd(50_000_000), Usd(50_000_000)]);
    assert_eq!(shop.spent(&customer, Usd::dollars(1)).await, Usd(100_000_000));
    let poor = shop.customer(Usd(49_999_999)).await;
    assert_eq!(shop.chat(&poor.key, ask("demo-chat", "Hello")).await.status(), 402, "what is not there cannot be charged");
    shop.finish().await;
}
