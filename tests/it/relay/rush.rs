//! Many at once on one balance: never overdrawn, never undercharged.

use super::{INPUT, OUTPUT, ask, ask_stream, input_tokens, told};
use crate::harness::TestApp;
use farebox::kernel::Usd;
use serde_json::{Value, json};

/// What one of the requests below costs.
fn cost(text: &str, output: i64) -> Usd {
    Usd(input_tokens(text) * INPUT + output * OUTPUT)
}

#[tokio::test]
async fn fifty_clients_on_a_balance_for_a_few_never_overdraw_it() {
    let shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let text = "[[tokens=20]] Hello";
    let one = cost(text, 20);
    let balance = Usd(one.0 * 7 + 1);
    let customer = shop.customer(balance).await;
    let mut clients = tokio::task::JoinSet::new();
    for n in 0..50 {
        let mut body = if n % 2 == 0 { ask("demo-chat", text) } else { ask_stream("demo-chat", text) };
        body["max_tokens"] = json!(20);
        let request = shop.http.post(shop.at("/v1/chat/completions")).bearer_auth(&customer.key).json(&body);
        clients.spawn(async move {
            let answer = request.send().await.expect("an answer");
            let status = answer.status().as_u16();
            (status, answer.text().await.expect("a whole answer"))
        });
    }
    let answers = clients.join_all().await;
    let served = answers.iter().filter(|(status, _)| *status == 200).count();
    assert!(answers.iter().all(|(status, _)| matches!(status, 200 | 402)), "{answers:?}");
    assert!((1..=7).contains(&served), "{served}");
    shop.settled(&customer, 50).await;
    let rows = shop.requests(customer.user.id).await;
    let spent: Usd = rows.iter().map(|row| row.cost).sum();
    assert_eq!((shop.available(customer.user.id).await, spent), (balance - spent, Usd(one.0 * served as i64)));
    assert_eq!(shop.upstream.log().count() as usize, served, "nobody was served for nothing");
    // What is left serves the rest, one after the other, down to the last that fits.
    let mut body = ask("demo-chat", text);
    body["max_tokens"] = json!(20);
    for _ in served..7 {
        assert_eq!(shop.chat(&customer.key, body.clone()).await.status(), 200);
    }
    assert_eq!(told(shop.chat(&customer.key, body).await).await.0, 402);
    assert_eq!(shop.available(customer.user.id).await, Usd(1));
    shop.finish().await;
}

#[tokio::test]
async fn one_dollar_is_spent_to_the_last_nano_dollar() {
    let shop = TestApp::new().await;
    shop.sell("demo-chat", "1000", "10000").await;
    shop.channel("upstream", &shop.upstream.base_url(), &["demo-chat"], 0).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let text = "[[tokens=30]] Hello";
    let (mut spent, mut answers) = (Usd::ZERO, 0);
    let left = loop {
        let answer = shop.chat(&customer.key, ask("demo-chat", text)).await;
        if answer.status() == 402 {
            break shop.available(customer.user.id).await;
        }
        let charged: Usd = answer.headers()["x-farebox-cost-usd"].to_str().unwrap().parse().unwrap();
        let body: Value = answer.json().await.unwrap();
        let tokens = |name: &str| body["usage"][name].as_i64().unwrap();
        assert_eq!(charged, Usd(tokens("prompt_tokens") * 1_000_000 + tokens("completion_tokens") * 10_000_000));
        spent += charged;
        answers += 1;
        assert_eq!(shop.available(customer.user.id).await, Usd::dollars(1) - spent, "to the nano-dollar, after each");
    };
    assert!(answers >= 3 && left < Usd((input_tokens(text) + 160) * 1_000_000), "{left} left after {answers}");
    assert_eq!(left + spent, Usd::dollars(1));
    shop.finish().await;
}
