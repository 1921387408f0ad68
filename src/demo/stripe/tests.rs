//! The simulated Stripe, driven over HTTP as a shop and a browser would.

use super::*;
use crate::kernel::{IdGen, Kit};
use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use serde_json::json;
use std::sync::Mutex;

const KEY: &str = "sk_test_simulated";
const SECRET: &str = "whsec_simulated";
/// 2028-01-31T12:00:00Z: the next months are shorter, and one has a leap day.
const START: i64 = 1_832_932_800_000;
const DAY: i64 = 86_400_000;

struct Bench {
    stripe: Stripe,
    clock: Clock,
    client: reqwest::Client,
}

impl Bench {
    async fn open() -> Self {
        let clock = Clock::manual(START);
        let kit = Kit { clock: clock.clone(), ids: IdGen::new(clock.clone(), 0, 0), random: Random::seeded(7) };
        let stripe = Stripe::start(Options::new(&kit, KEY)).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { stripe, clock, client }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let response = request.bearer_auth(KEY).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.stripe.base_url())
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        self.send(self.client.post(self.url(&format!("/v1/{path}"))).form(form)).await
    }

    async fn get(&self, path: &str) -> Value {
        self.send(self.client.get(self.url(&format!("/v1/{path}")))).await.1
    }

    /// A form that a browser sends. Status, where it is sent, and the page.
    async fn browse(&self, url: &str, form: &[(&str, &str)]) -> (u16, String, String) {
        let response = self.client.post(url).form(form).send().await.unwrap();
        let location = response.headers().get("location").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
        (response.status().as_u16(), location, response.text().await.unwrap())
    }

    async fn customer(&self) -> String {
        let (_, customer) = self.post("customers", &[("email", "a@example.com"), ("metadata[user]", "7")]).await;
        customer["id"].as_str().unwrap().to_owned()
    }

    async fn checkout(&self, customer: &str, more: &[(&str, &str)]) -> Value {
        let form = [
            ("customer", customer),
            ("success_url", "https://shop.example/done?session={CHECKOUT_SESSION_ID}"),
            ("cancel_url", "https://shop.example/cancel"),
            ("client_reference_id", "order-1"),
            ("metadata[order]", "order-1"),
            ("line_items[0][price_data][currency]", "usd"),
            ("line_items[0][price_data][unit_amount]", "5000"),
            ("line_items[0][price_data][product_data][name]", "Credit <50>"),
            ("line_items[0][quantity]", "1"),
        ];
        let (status, session) = self.post("checkout/sessions", &[&form, more].concat()).await;
        assert_eq!(status, 200, "{session}");
        session
    }

    async fn once(&self, customer: &str) -> Value {
        self.checkout(
            customer,
            &[("mode", "payment"), ("payment_intent_data[setup_future_usage]", "off_session"), ("payment_intent_data[metadata][order]", "order-1")],
        )
        .await
    }

    async fn monthly(&self, customer: &str) -> Value {
        let monthly = ("line_items[0][price_data][recurring][interval]", "month");
        self.checkout(customer, &[("mode", "subscription"), monthly, ("subscription_data[metadata][order]", "order-1")]).await
    }

    fn kinds(&self) -> Vec<String> {
        self.stripe.messages().into_iter().map(|message| message.kind).collect()
    }

    fn last(&self, kind: &str) -> Value {
        let message = self.stripe.messages().into_iter().rev().find(|message| message.kind == kind).unwrap_or_else(|| panic!("no {kind}"));
        serde_json::from_str::<Value>(&message.body).unwrap()["data"]["object"].clone()
    }
}

fn id(thing: &Value) -> &str {
    thing["id"].as_str().unwrap()
}

#[tokio::test]
async fn a_customer_pays_on_the_page_after_a_decline() {
    let bench = Bench::open().await;
    let session = bench.once(&bench.customer().await).await;
    let url = session["url"].as_str().unwrap();
    let page = bench.client.get(url).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("$50.00") && page.contains("Credit &lt;50&gt;") && page.contains("https://shop.example/cancel"), "{page}");
    let (status, _, page) = bench.browse(url, &[("number", "4000 0000 0000 0002"), ("do", "pay")]).await;
    assert!(status == 200 && page.contains("Your card was declined."), "{page}");
    let (status, location, _) = bench.browse(url, &[("number", "4242 4242 4242 4242"), ("do", "pay")]).await;
    assert_eq!((status, location), (303, format!("https://shop.example/done?session={}", id(&session))));
    let session = bench.get(&format!("checkout/sessions/{}", id(&session))).await;
    assert_eq!(
        (&session["status"], &session["payment_status"], &session["amount_total"], &session["url"]),
        (&json!("complete"), &json!("paid"), &json!(5000), &Value::Null)
    );
    let intent = bench.get(&format!("payment_intents/{}?expand[]=latest_charge.balance_transaction", session["payment_intent"].as_str().unwrap())).await;
    assert_eq!((&intent["metadata"]["order"], &intent["amount_received"]), (&json!("order-1"), &json!(5000)));
    assert_eq!(intent["latest_charge"]["balance_transaction"]["net"], json!(5000 - 175));
    let kinds = bench.kinds();
    for kind in ["payment_intent.payment_failed", "charge.succeeded", "payment_intent.succeeded", "checkout.session.completed"] {
        assert_eq!(kinds.iter().filter(|one| *one == kind).count(), 1, "{kind} in {kinds:?}");
    }
    let (_, _, page) = bench.browse(url, &[("number", "4242424242424242")]).await;
    assert!(page.contains("This page is closed"), "paid twice: {page}");
}

#[tokio::test]
async fn a_bank_asks_and_a_saved_card_is_charged_while_its_owner_is_away() {
    let bench = Bench::open().await;
    let customer = bench.customer().await;
    let session = bench.once(&customer).await;
    let number = Card::ConfirmsAlways.number();
    let (_, bank, _) = bench.browse(session["url"].as_str().unwrap(), &[("number", number), ("do", "pay")]).await;
    assert!(bench.client.get(&bank).send().await.unwrap().text().await.unwrap().contains("$50.00"));
    let (_, back, _) = bench.browse(&bank, &[("answer", "no")]).await;
    assert!(back.contains("failed=1"), "{back}");
    let (_, bank, _) = bench.browse(session["url"].as_str().unwrap(), &[("number", number), ("do", "pay")]).await;
    let (_, back, _) = bench.browse(&bank, &[("answer", "yes")]).await;
    assert!(back.starts_with("https://shop.example/done"), "{back}");
    let cards = bench.get(&format!("customers/{customer}/payment_methods")).await;
    let card = id(&cards["data"][0]).to_owned();
    let form = [("amount", "1000"), ("currency", "usd"), ("customer", &customer), ("payment_method", &card), ("confirm", "true"), ("off_session", "true")];
    let (status, refused) = bench.post("payment_intents", &form).await;
    let error = &refused["error"];
    assert_eq!((status, &error["code"], &error["payment_intent"]["status"]), (402, &json!("authentication_required"), &json!("requires_payment_method")));
    let intent = id(&error["payment_intent"]).to_owned();
    let (_, asked) = bench.post(&format!("payment_intents/{intent}/confirm"), &[("payment_method", &card), ("return_url", "https://shop.example/back")]).await;
    let bank = asked["next_action"]["redirect_to_url"]["url"].as_str().unwrap();
    let (_, back, _) = bench.browse(bank, &[("answer", "yes")]).await;
    assert!(back.contains("redirect_status=succeeded"), "{back}");
    assert_eq!(bench.get(&format!("payment_intents/{intent}")).await["status"], "succeeded");
    bench.stripe.card_becomes(&customer, Card::Good);
    assert_eq!(bench.post("payment_intents", &form).await.1["status"], "succeeded");
}

#[tokio::test]
async fn money_that_comes_later_completes_a_checkout_first() {
    let bench = Bench::open().await;
    let customer = bench.customer().await;
    for (comes, kind) in [(true, "checkout.session.async_payment_succeeded"), (false, "checkout.session.async_payment_failed")] {
        let session = bench.once(&customer).await;
        bench.browse(session["url"].as_str().unwrap(), &[("do", "transfer")]).await;
        assert_eq!(bench.last("checkout.session.completed")["payment_status"], "unpaid");
        bench.stripe.settle(id(&session), comes).unwrap();
        let told = bench.last(kind);
        assert_eq!((id(&told), told["payment_status"] == "paid"), (id(&session), comes));
        assert!(bench.stripe.settle(id(&session), comes).is_err(), "settled twice");
    }
}

#[tokio::test]
async fn the_same_key_does_a_thing_once_even_when_the_answer_was_lost() {
    let bench = Bench::open().await;
    let make = |email: &'static str| bench.client.post(bench.url("/v1/customers")).header("idempotency-key", "k1").form(&[("email", email)]);
    bench.stripe.fail_next(&[Fault::Status(503), Fault::HangUp, Fault::LoseAnswer]);
    assert_eq!(bench.send(make("a@example.com")).await.0, 503);
    for _ in 0..2 {
        assert!(make("a@example.com").bearer_auth(KEY).send().await.is_err());
    }
    let (status, first) = bench.send(make("a@example.com")).await;
    assert_eq!((status, bench.send(make("a@example.com")).await), (200, (200, first)));
    assert_eq!(bench.get("customers").await["data"].as_array().unwrap().len(), 1);
    let (status, other) = bench.send(make("b@example.com")).await;
    assert_eq!((status, &other["error"]["type"]), (400, &json!("idempotency_error")));
    let stranger = bench.client.get(bench.url("/v1/customers")).bearer_auth("sk_test_other").send().await.unwrap();
    assert_eq!(stranger.status(), 401);
}

#[tokio::test]
async fn a_subscription_is_renewed_by_the_calendar_and_pays_or_fails() {
    let bench = Bench::open().await;
    let customer = bench.customer().await;
    let session = bench.monthly(&customer).await;
    bench.stripe.pay(id(&session), Card::Good).unwrap();
    let subscription = bench.get(&format!("checkout/sessions/{}", id(&session))).await["subscription"].as_str().unwrap().to_owned();
    let path = format!("subscriptions/{subscription}");
    let look = || bench.get(&path);
    let ends = |subscription: &Value| subscription["items"]["data"][0]["current_period_end"].as_i64().unwrap();
    let leap_day = START / 1000 + 29 * 86_400; // 2028-02-29
    assert_eq!((&look().await["status"], ends(&look().await)), (&json!("active"), leap_day));
    bench.clock.advance(29 * DAY);
    assert_eq!(ends(&look().await), START / 1000 + 60 * 86_400, "the 31st of March comes back");
    let invoice = bench.last("invoice.paid");
    let period = &invoice["lines"]["data"][0]["period"];
    assert_eq!((&invoice["billing_reason"], &period["start"], &invoice["amount_paid"]), (&json!("subscription_cycle"), &json!(leap_day), &json!(5000)));
    assert_eq!(invoice["parent"]["subscription_details"]["metadata"]["order"], "order-1");
    bench.stripe.card_becomes(&customer, Card::Declined);
    bench.clock.advance(31 * DAY);
    assert_eq!(look().await["status"], "past_due");
    let failed = bench.last("invoice.payment_failed");
    bench.stripe.card_becomes(&customer, Card::Good);
    let (status, paid) = bench.post(&format!("invoices/{}/pay", id(&failed)), &[]).await;
    assert_eq!((status, &paid["status"], &look().await["status"]), (200, &json!("paid"), &json!("active")));
    bench.stripe.card_becomes(&customer, Card::Declined);
    bench.clock.advance(60 * DAY);
    assert_eq!(look().await["status"], "canceled", "given up after the last attempt");
    assert_eq!(bench.last("customer.subscription.deleted")["id"], json!(subscription));
}

#[tokio::test]
async fn a_subscription_is_changed_cancelled_and_resumed() {
    let bench = Bench::open().await;
    let customer = bench.customer().await;
    let session = bench.monthly(&customer).await;
    bench.stripe.pay(id(&session), Card::Good).unwrap();
    let subscription = bench.get("subscriptions").await["data"][0].clone();
    let path = format!("subscriptions/{}", id(&subscription));
    let item = id(&subscription["items"]["data"][0]).to_owned();
    let product = subscription["items"]["data"][0]["price"]["product"].as_str().unwrap().to_owned();
    let price = |amount: &'static str| {
        let (id, product) = (("items[0][id]", item.as_str()), ("items[0][price_data][product]", product.as_str()));
        [
            id,
            product,
            ("items[0][price_data][currency]", "usd"),
            ("items[0][price_data][unit_amount]", amount),
            ("items[0][price_data][recurring][interval]", "month"),
        ]
    };
    let invoices = || async { bench.get(&format!("invoices?subscription={}", id(&subscription))).await["data"].as_array().unwrap().clone() };
    bench.post(&path, &[&price("1000")[..], &[("proration_behavior", "none")]].concat()).await;
    assert_eq!(invoices().await.len(), 1, "a smaller price is asked at the next renewal");
    let now = [("billing_cycle_anchor[type]", "now"), ("payment_behavior", "error_if_incomplete"), ("proration_behavior", "always_invoice")];
    bench.stripe.card_becomes(&customer, Card::Declined);
    let before = bench.get(&path).await;
    assert_eq!(bench.post(&path, &[&price("9000")[..], &now].concat()).await.0, 402);
    assert_eq!(bench.get(&path).await["items"], before["items"], "a change that cannot be paid does not happen");
    bench.stripe.card_becomes(&customer, Card::Good);
    bench.clock.advance(10 * DAY);
    assert_eq!(bench.post(&path, &[&price("9000")[..], &now].concat()).await.0, 200);
    // 19 of 29 days were left of the 10 dollars.
    assert_eq!(invoices().await[0]["amount_paid"], json!(9000 - 1000 * 19 / 29));
    bench.post(&path, &[("cancel_at_period_end", "true")]).await;
    bench.post(&path, &[("cancel_at_period_end", "false")]).await;
    bench.clock.advance(32 * DAY);
    assert_eq!(bench.get(&path).await["status"], "active");
    bench.post(&path, &[("cancel_at_period_end", "true")]).await;
    bench.clock.advance(32 * DAY);
    assert_eq!(bench.get(&path).await["status"], "canceled");
}

#[tokio::test]
async fn refunds_and_disputes_move_the_account() {
    let bench = Bench::open().await;
    let session = bench.once(&bench.customer().await).await;
    bench.stripe.pay(id(&session), Card::Good).unwrap();
    let intent = bench.get("payment_intents").await["data"][0].clone();
    let refund = async |amount: &str| bench.post("refunds", &[("payment_intent", id(&intent)), ("amount", amount)]).await;
    assert_eq!(refund("2000").await.1["amount"], 2000);
    assert_eq!(bench.last("charge.refunded")["amount_refunded"], 2000);
    assert_eq!(refund("3001").await.0, 400, "more than is left");
    let dispute = bench.stripe.dispute(id(&intent)).unwrap();
    assert_eq!(bench.last("charge.dispute.created")["amount"], 3000);
    assert_eq!(refund("1").await.1["error"]["code"], "charge_disputed");
    bench.stripe.close_dispute(&dispute, true).unwrap();
    assert!(bench.stripe.close_dispute(&dispute, false).is_err(), "decided twice");
    assert_eq!(bench.last("charge.dispute.closed")["status"], "won");
    let moved: i64 = bench.get("balance_transactions").await["data"].as_array().unwrap().iter().map(|line| line["net"].as_i64().unwrap()).sum();
    assert_eq!(moved, 5000 - 175 - 2000 - 1500);
}

#[tokio::test]
async fn a_checkout_closes_when_its_time_is_over_or_when_it_is_told() {
    let bench = Bench::open().await;
    let customer = bench.customer().await;
    let (first, second) = (bench.once(&customer).await, bench.once(&customer).await);
    let (status, expired) = bench.post(&format!("checkout/sessions/{}/expire", id(&first)), &[]).await;
    assert_eq!((status, &expired["status"]), (200, &json!("expired")));
    assert_eq!(bench.post(&format!("checkout/sessions/{}/expire", id(&first)), &[]).await.0, 400);
    bench.clock.advance(DAY);
    bench.stripe.pass_time();
    assert_eq!(bench.last("checkout.session.expired")["id"], second["id"]);
    assert!(bench.stripe.pay(id(&second), Card::Good).is_err());
}

/// A receiver that fails so many times before it takes anything.
async fn receiver(failures: usize) -> (String, Arc<Mutex<Vec<(String, String)>>>) {
    let got: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
    let keep = got.clone();
    let router = Router::new().fallback(move |headers: HeaderMap, body: Bytes| {
        let keep = keep.clone();
        async move {
            let mut keep = keep.lock().unwrap();
            keep.push((headers["stripe-signature"].to_str().unwrap().to_owned(), String::from_utf8(body.to_vec()).unwrap()));
            if keep.len() <= failures { axum::http::StatusCode::SERVICE_UNAVAILABLE } else { axum::http::StatusCode::OK }
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, got)
}

#[tokio::test]
async fn messages_are_signed_tried_again_repeated_lost_and_held() {
    let bench = Bench::open().await;
    let (url, got) = receiver(2).await;
    bench.stripe.send_to(&url, SECRET);
    bench.customer().await;
    bench.stripe.settled().await;
    {
        let got = got.lock().unwrap();
        assert_eq!(got.len(), 3, "two failures and a success");
        assert_eq!(got[0].0, signature(SECRET, START / 1000, &got[0].1));
        assert!(got.iter().all(|one| *one == got[0]));
    }
    bench.stripe.post(Post { repeat: 4, lose: vec!["customer.updated".to_owned()], ..Post::default() });
    let customer = bench.customer().await;
    bench.post(&format!("customers/{customer}"), &[("name", "A")]).await;
    bench.stripe.settled().await;
    assert_eq!(got.lock().unwrap().len(), 3 + 5);
    assert!(bench.stripe.untaken()[0].lost && bench.stripe.untaken().len() == 1);
    assert_eq!(bench.get("events?type=customer.updated").await["data"].as_array().unwrap().len(), 1, "what was lost is in the list");
    bench.stripe.post(Post { held: true, ..Post::default() });
    bench.customer().await;
    let held = bench.stripe.untaken().pop().unwrap();
    assert_eq!((bench.stripe.deliver(&held.id).await, got.lock().unwrap().len()), (200, 9));
    bench.stripe.post(Post::default());
    bench.stripe.settled().await;
    assert_eq!(bench.stripe.messages().last().unwrap().answers, [200, 200], "what was held leaves");
}

#[tokio::test]
async fn the_controls_and_the_portal_work_in_a_browser() {
    let bench = Bench::open().await;
    let customer = bench.customer().await;
    let session = bench.monthly(&customer).await;
    bench.stripe.pay(id(&session), Card::Good).unwrap();
    let (_, portal) = bench.post("billing_portal/sessions", &[("customer", &customer), ("return_url", "https://shop.example/account")]).await;
    let url = portal["url"].as_str().unwrap();
    let subscription = id(&bench.get("subscriptions").await["data"][0]).to_owned();
    bench.browse(url, &[("do", "cancel"), ("subscription", &subscription)]).await;
    assert!(bench.client.get(url).send().await.unwrap().text().await.unwrap().contains("ends with its period"));
    bench.browse(url, &[("do", "resume"), ("subscription", &subscription)]).await;
    bench.browse(&bench.url("/control/hurry"), &[("days", "32")]).await;
    assert_eq!(bench.last("invoice.paid")["billing_reason"], "subscription_cycle");
    let page = bench.client.get(bench.url("/control")).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("invoice.paid") && page.contains("Dispute"), "{page}");
    let messages: Value = bench.client.get(bench.url("/control/messages")).send().await.unwrap().json().await.unwrap();
    assert_eq!(messages.as_array().unwrap().len(), bench.stripe.messages().len());
    let (status, ..) = bench.browse(&bench.url("/control/settle"), &[("checkout", "cs_none"), ("comes", "true")]).await;
    assert_eq!(status, 400);
}

#[tokio::test]
async fn hostile_requests_are_refused_and_kill_nothing() {
    let bench = Bench::open().await;
    for path in ["checkout/sessions", "payment_intents", "refunds", "customers/x", "subscriptions/x", "invoices/x/pay", "nothing", "", "%00", "disputes/x"] {
        for form in
            ["", "amount=-1&currency=usd", "amount=99999999999999999999&currency=usd", "mode=payment&success_url=x", "a[b]=1&a=2", "amount=1&currency=xxx"]
        {
            let request = bench.client.post(bench.url(&format!("/v1/{path}"))).header("content-type", "application/x-www-form-urlencoded").body(form);
            let status = request.bearer_auth(KEY).send().await.unwrap().status().as_u16();
            assert!((400..500).contains(&status), "{path} {form}: {status}");
        }
    }
    assert!(bench.kinds().is_empty());
}
