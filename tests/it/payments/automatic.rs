//! Credit that is bought by itself: once for each fall, never more than agreed to, whatever is lost.

use super::{MINUTE, Till, permutations};
use crate::harness::app::Customer;
use crate::web::{Visitor, location};
use farebox::db::Db;
use farebox::demo::stripe::{Card, Fault, Post};
use farebox::kernel::clock::DAY_MS;
use farebox::kernel::{Id, Usd};
use farebox::payments::automatic::{Reason, Terms};
use farebox::payments::{NewOrder, Order, State, Wish};
use farebox::settings::{self, Tier, TopUpTerms};
use futures_util::future::join_all;
use reqwest::StatusCode;
use serde_json::json;

const HOUR: i64 = 60 * MINUTE;

impl Till {
    /// A customer who has bought 10 dollars of credit and let the card be kept.
    pub async fn keeper(&self, card: Card) -> Customer {
        let customer = self.customer().await;
        self.keep(customer.user.id, card).await;
        customer
    }

    async fn keep(&self, user: Id, card: Card) {
        let wish = NewOrder { wish: Wish::TopUpAndKeepCard(Usd::dollars(10)), ..self.wish(user, 10) };
        let order = self.shop.app.payments.order(&wish).await.expect("an order");
        self.shop.app.payments.pay_page(&order).await.expect("a page").expect("an address");
        let checkout = self.find(order.id).await.checkout.expect("the page is known");
        if self.stripe.pay(&checkout, card).expect("the card pays").contains("/bank/") {
            let payment = self.stripe.messages().iter().rev().find_map(payment_of).expect("a payment");
            self.stripe.confirm(&payment, true).expect("the bank asks");
        }
        self.stripe.settled().await;
        self.deliver_all().await;
        assert_eq!(self.state(order.id).await, State::Paid);
    }

    /// Agrees to automatic top-ups of 20 dollars below 5, and at most so many a month.
    pub async fn agree(&self, user: Id, monthly: i64) {
        let payments = &self.shop.app.payments;
        let card = payments.saved_card(user).await.expect("an answer").expect("a card");
        let terms = Terms { below: Usd::dollars(5), amount: Usd::dollars(20), monthly: Usd::dollars(monthly) };
        payments.agree(user, &terms, &card, "en").await.expect("it is agreed");
        payments.automatic_due().await.expect("the wire is set");
        self.shop.app.refresh().await.expect("the wires are read");
    }

    /// Takes so much of what a customer has that 4 dollars are left. Nobody is woken by that.
    pub async fn drain(&self, user: Id) {
        let left = self.available(user).await - Usd::dollars(4);
        if left <= Usd::ZERO {
            return;
        }
        let app = &self.shop.app;
        let mut tx = app.db.write().await.expect("a transaction");
        app.books.adjust(&mut tx, user, -left, "spent".into(), format!("spent:{}", app.kit.ids.next())).await.expect("it is there");
        tx.commit().await.expect("a commit");
    }

    /// Looks at a customer as whoever is woken does.
    pub async fn look_at(&self, user: Id) -> Option<Id> {
        self.shop.app.payments.top_up_if_low(user).await.expect("the provider answers")
    }

    /// The orders that were made by themselves, the latest first.
    pub async fn automatic(&self, user: Id) -> Vec<Order> {
        let mut conn = self.shop.app.db.read().await.expect("a connection");
        let orders = self.shop.app.payments.orders_of(&mut conn, user, None, 100).await.expect("the orders");
        orders.into_iter().filter(Order::is_automatic).collect()
    }

    /// How many payments of 20 dollars the provider has, by how they stand.
    pub fn charged(&self) -> Vec<String> {
        let made = self.stripe.messages().into_iter().filter(|message| message.kind == "payment_intent.created");
        let objects = made.filter_map(|message| payment_of(&message)).map(|payment| self.stripe.object(&payment));
        objects.filter(|payment| payment["amount"] == 2000).map(|payment| payment["status"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// The subjects of a customer's mails that contain a word.
    pub async fn mails(&self, user: &Customer, word: &str) -> usize {
        subjects(&self.shop.app.db, &user.user.email).await.iter().filter(|subject| subject.contains(word)).count()
    }
}

fn payment_of(message: &farebox::demo::stripe::Message) -> Option<String> {
    let event: serde_json::Value = serde_json::from_str(&message.body).ok()?;
    let object = &event["data"]["object"];
    (object["object"] == "payment_intent").then(|| object["id"].as_str().map(str::to_owned))?
}

pub async fn subjects(db: &Db, to: &str) -> Vec<String> {
    let mut conn = db.read().await.expect("a connection");
    sqlx::query_scalar("SELECT subject FROM outbox WHERE recipient = $1 ORDER BY id").bind(to.to_owned()).fetch_all(&mut *conn).await.expect("the mails")
}

#[tokio::test]
async fn a_request_that_makes_the_balance_fall_is_followed_by_a_charge_at_once() {
    let till = Till::open().await;
    till.shop.stock(&["demo-chat"]).await;
    till.sell(&TopUpTerms { tiers: vec![Tier { from: Usd::dollars(20), bonus: Usd::dollars(2) }], ..TopUpTerms::default() }).await;
    let customer = till.keeper(Card::Good).await;
    let id = customer.user.id;
    till.agree(id, 100).await;
    let left = till.available(id).await - Usd::dollars(5);
    let app = &till.shop.app;
    let mut tx = app.db.write().await.unwrap();
    app.books.adjust(&mut tx, id, -left, "spent".into(), "spent".into()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(till.look_at(id).await, None, "five dollars are not less than five");
    let body = json!({"model": "demo-chat", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]});
    assert_eq!(till.shop.chat(&customer.key, body).await.status(), 200);
    let is_paid = || async { matches!(till.automatic(id).await.as_slice(), [order] if order.state == State::Paid) };
    till.shop.until("the charge is paid", is_paid).await;
    let order = till.automatic(id).await.remove(0);
    assert_eq!((order.price.minor, order.worth, order.bonus), (2000, Usd::dollars(20), Usd::dollars(2)));
    let left = till.available(id).await;
    assert!(left > Usd::dollars(26) && left < Usd::dollars(27), "{left}");
    till.stripe.settled().await;
    till.handled().await;
    assert_eq!((till.charged(), till.available(id).await), (vec!["succeeded".to_owned()], left));
    let asked = till.stripe.asked();
    let confirmed = asked.iter().find(|asked| asked.path.ends_with("/confirm")).unwrap();
    assert!(confirmed.form.contains("off_session=true") && confirmed.idempotency_key.as_deref() == Some(&format!("charge:{}:confirm", order.id)));
    till.finish().await;
}

#[tokio::test]
async fn fifty_who_see_the_same_fall_buy_once() {
    let till = Till::held().await;
    let customer = till.keeper(Card::Good).await;
    let id = customer.user.id;
    till.agree(id, 1000).await;
    for turn in 1..=2 {
        till.drain(id).await;
        let payments = &till.shop.app.payments;
        let made = join_all((0..50).map(|_| payments.top_up_if_low(id))).await;
        assert_eq!(made.into_iter().filter(|made| made.as_ref().is_ok_and(Option::is_some)).count(), 1);
        let is_paid = || async { till.automatic(id).await.iter().all(|order| order.state == State::Paid) };
        till.shop.until("it is paid", is_paid).await;
        assert_eq!((till.automatic(id).await.len(), till.charged().len(), till.available(id).await), (turn, turn, Usd::dollars(24)));
    }
    till.deliver_all().await;
    assert_eq!(till.available(id).await, Usd::dollars(24));
    till.finish().await;
}

#[tokio::test]
async fn never_more_than_agreed_to_in_a_month_of_the_shop() {
    let till = Till::held().await;
    let mut tx = till.shop.app.db.write().await.unwrap();
    settings::set_time_zone(&mut tx, till.clock.now_ms(), &settings::time_zone("Asia/Shanghai").unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    till.shop.app.settings.refresh(&till.shop.app.db).await.unwrap();
    let customer = till.keeper(Card::Good).await;
    let id = customer.user.id;
    till.agree(id, 50).await;
    let payments = &till.shop.app.payments;
    for bought in [20, 40, 40, 40] {
        till.drain(id).await;
        join_all((0..50).map(|_| payments.top_up_if_low(id))).await;
        assert_eq!(payments.bought_this_month(id).await.unwrap(), Usd::dollars(bought));
    }
    let known = payments.automatic(id).await.unwrap().unwrap();
    assert!(known.is_on && known.paused_until > till.clock.now_ms());
    // From 2026-03-01 12:00 UTC to a second before midnight of March 31 in Shanghai, which is 16:00 UTC.
    till.clock.advance(30 * DAY_MS + 4 * HOUR - 1000);
    payments.automatic_due().await.unwrap();
    assert_eq!(till.automatic(id).await.len(), 2, "it is still March in Shanghai");
    till.clock.advance(1000);
    assert_eq!(payments.bought_this_month(id).await.unwrap(), Usd::ZERO);
    let goes_on = || async {
        payments.automatic_due().await.unwrap();
        till.automatic(id).await.len() == 3
    };
    till.shop.until("it is April there", goes_on).await;
    assert_eq!(till.charged().len(), 3);
    till.finish().await;
}

#[tokio::test]
async fn what_is_under_way_counts_and_what_has_failed_does_not() {
    let till = Till::held().await;
    let customer = till.keeper(Card::GoodOnce).await;
    let id = customer.user.id;
    till.agree(id, 20).await;
    till.drain(id).await;
    let order = till.look_at(id).await.unwrap();
    assert_eq!((till.state(order).await, till.shop.app.payments.bought_this_month(id).await.unwrap()), (State::Failed, Usd::ZERO));
    let customer_there = till.stripe.object(till.find(order).await.payment.as_deref().unwrap())["customer"].as_str().unwrap().to_owned();
    till.stripe.card_becomes(&customer_there, Card::Good);
    till.clock.advance(HOUR);
    let is_paid = || async { till.shop.app.payments.automatic_due().await.is_ok() && till.available(id).await == Usd::dollars(24) };
    till.shop.until("the second try pays", is_paid).await;
    till.finish().await;
}

#[tokio::test]
async fn an_answer_that_is_lost_charges_once() {
    use Fault::{HangUp, LoseAnswer, Pass, Status};
    let till = Till::held().await;
    let customer = till.keeper(Card::Good).await;
    let id = customer.user.id;
    till.agree(id, 1000).await;
    let payments = &till.shop.app.payments;
    let cases: [&[Fault]; 8] = [
        &[LoseAnswer],
        &[Pass, LoseAnswer],
        &[Pass, Pass, LoseAnswer],
        &[Pass, Pass, Pass, LoseAnswer],
        &[Pass, HangUp],
        &[Pass, Pass, HangUp],
        &[Pass, Pass, Status(500)],
        &[Pass, Pass, Pass, Status(503)],
    ];
    for (turn, faults) in cases.into_iter().enumerate() {
        till.drain(id).await;
        till.stripe.fail_next(faults);
        assert!(payments.top_up_if_low(id).await.is_err(), "{faults:?}");
        // Whoever is woken again, and the job that looks at orders, go on with it.
        till.clock.advance(2 * MINUTE);
        let is_paid = || async {
            let _ = payments.top_up_if_low(id).await;
            payments.look_at_due().await.unwrap();
            till.available(id).await == Usd::dollars(24)
        };
        till.shop.until("it is paid", is_paid).await;
        assert_eq!((till.automatic(id).await.len(), till.charged().len()), (turn + 1, turn + 1), "{faults:?}");
    }
    till.deliver_all().await;
    assert_eq!((till.available(id).await, till.charged()), (Usd::dollars(24), vec!["succeeded".to_owned(); 8]));
    till.finish().await;
}

#[tokio::test]
async fn a_charge_whose_answer_was_lost_is_looked_for_when_its_key_is_forgotten() {
    use Fault::{LoseAnswer, Pass};
    for (lost, state, left) in [(1, State::Failed, 4), (2, State::Paid, 24)] {
        let till = Till::held().await;
        let customer = till.keeper(Card::Good).await;
        let id = customer.user.id;
        till.agree(id, 1000).await;
        till.drain(id).await;
        let faults: Vec<Fault> = (0..lost).map(|_| Pass).chain([LoseAnswer]).collect();
        till.stripe.fail_next(&faults);
        till.shop.app.payments.top_up_if_low(id).await.unwrap_err();
        let order = till.automatic(id).await.remove(0);
        assert_eq!((order.state, order.payment), (State::Pending, None));
        till.clock.advance(30 * HOUR);
        let has_ended = || async {
            till.shop.app.payments.look_at_due().await.unwrap();
            till.state(order.id).await == state
        };
        till.shop.until("what became of it is found", has_ended).await;
        assert_eq!(till.available(id).await, Usd::dollars(left));
        let expected = if state == State::Paid { "succeeded" } else { "canceled" };
        assert_eq!(till.charged(), [expected], "made once, and what was never charged cannot be any more");
        till.finish().await;
    }
}

#[tokio::test]
async fn messages_of_a_charge_in_every_order_and_each_five_times_credit_once() {
    let till = Till::held().await;
    let customer = till.keeper(Card::Good).await;
    let id = customer.user.id;
    till.agree(id, 10_000).await;
    for turn in permutations(3) {
        till.drain(id).await;
        let before = till.stripe.messages().len();
        // The charge is made, and the shop has not heard of it.
        till.stripe.fail_next(&[Fault::Pass, Fault::Pass, Fault::LoseAnswer]);
        till.shop.app.payments.top_up_if_low(id).await.unwrap_err();
        let messages = till.stripe.messages().split_off(before);
        let kinds: Vec<&str> = messages.iter().map(|message| message.kind.as_str()).collect();
        assert_eq!(kinds, ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]);
        for at in turn {
            for _ in 0..5 {
                assert_eq!(till.stripe.deliver(&messages[at].id).await, 200);
            }
        }
        till.handled().await;
        assert_eq!(till.available(id).await, Usd::dollars(24));
        assert!(till.shop.app.payments.automatic_order(id).await.unwrap().is_none());
    }
    assert_eq!((till.automatic(id).await.len(), till.charged().len()), (6, 6));
    till.finish().await;
}

#[tokio::test]
async fn a_card_that_is_declined_is_tried_more_and_more_seldom_and_then_switched_off() {
    let till = Till::open().await;
    let customer = till.keeper(Card::GoodOnce).await;
    let id = customer.user.id;
    till.agree(id, 1000).await;
    till.drain(id).await;
    let payments = &till.shop.app.payments;
    for (failures, pause) in [(1, HOUR), (2, 6 * HOUR), (3, DAY_MS)] {
        let is_made = || async {
            let _ = payments.automatic_due().await;
            let _ = payments.top_up_if_low(id).await;
            payments.automatic(id).await.unwrap().unwrap().failures == failures
        };
        till.shop.until("it was declined", is_made).await;
        let known = payments.automatic(id).await.unwrap().unwrap();
        assert_eq!((known.is_on, known.reason, known.paused_until), (true, Some(Reason::Bank), till.clock.now_ms() + pause));
        assert_eq!((till.look_at(id).await, till.automatic(id).await.len() as i64), (None, failures));
        till.clock.advance(pause);
    }
    let is_off = || async {
        let _ = payments.automatic_due().await;
        !payments.automatic(id).await.unwrap().unwrap().is_on
    };
    till.shop.until("it is switched off", is_off).await;
    till.stripe.settled().await;
    till.handled().await;
    assert_eq!(till.charged(), ["canceled"; 4], "nothing can be paid any more");
    assert!(till.automatic(id).await.iter().all(|order| order.state == State::Failed));
    assert_eq!((till.mails(&customer, "did not work").await, till.mails(&customer, "switched off").await), (1, 1));
    let page = Visitor::logged_in(&till.shop, &customer.user).await.read("/account/payment").await;
    assert!(page.contains("does not say why") && page.contains("Switch on automatic top-up"), "{page}");
    till.clock.advance(40 * DAY_MS);
    payments.automatic_due().await.unwrap();
    assert_eq!((till.look_at(id).await, till.automatic(id).await.len()), (None, 4));
    till.finish().await;
}

#[tokio::test]
async fn what_cannot_be_charged_is_switched_off_at_once() {
    let till = Till::open().await;
    // The card has expired; it was removed at the provider; the price has gone up; another currency.
    for case in 0..4 {
        let customer = till.keeper(Card::Good).await;
        let id = customer.user.id;
        till.agree(id, 1000).await;
        till.drain(id).await;
        let there = provider_customer(&till, id).await;
        let usual = TopUpTerms::default();
        let expected = match case {
            0 => {
                till.stripe.card_becomes(&there, Card::Expired);
                Reason::Card
            }
            1 => {
                let card = till.shop.app.payments.saved_card(id).await.unwrap().unwrap();
                let form = till.shop.http.post(format!("{}/v1/payment_methods/{}/detach", till.stripe.base_url(), card.id));
                assert_eq!(form.bearer_auth("sk_test_of_the_test").send().await.unwrap().status(), 200);
                Reason::NoCard
            }
            2 => {
                till.sell(&TopUpTerms { rate: "1.1".parse().unwrap(), ..usual.clone() }).await;
                Reason::Price
            }
            _ => {
                till.sell(&TopUpTerms { currency: "EUR".parse().unwrap(), ..usual.clone() }).await;
                Reason::Price
            }
        };
        let _ = till.look_at(id).await;
        let known = || async { till.shop.app.payments.automatic(id).await.unwrap().unwrap() };
        till.shop.until("it is switched off", || async { !known().await.is_on }).await;
        assert_eq!((known().await.reason, till.mails(&customer, "switched off").await), (Some(expected), 1), "case {case}");
        assert_eq!(till.available(id).await, Usd::dollars(4));
        till.sell(&usual).await;
    }
    assert!(till.charged().iter().all(|status| status == "canceled"));
    till.finish().await;
}

async fn provider_customer(till: &Till, user: Id) -> String {
    let mut conn = till.shop.app.db.read().await.unwrap();
    sqlx::query_scalar("SELECT customer FROM provider_customer WHERE user_id = $1").bind(user.0).fetch_one(&mut *conn).await.unwrap()
}

#[tokio::test]
async fn a_lower_price_is_charged_and_money_that_goes_back_switches_it_off() {
    let till = Till::held().await;
    let customer = till.keeper(Card::Good).await;
    let id = customer.user.id;
    for dispute in [false, true] {
        till.agree(id, 1000).await;
        till.drain(id).await;
        till.sell(&TopUpTerms { rate: "0.9".parse().unwrap(), ..TopUpTerms::default() }).await;
        let order = till.find(till.look_at(id).await.unwrap()).await;
        assert_eq!((order.state, order.price.minor), (State::Paid, 1800));
        till.sell(&TopUpTerms::default()).await;
        if dispute {
            till.stripe.dispute(order.payment.as_deref().unwrap()).unwrap();
            till.deliver_all().await;
        } else {
            till.refund(&order, 1800, true).await.unwrap();
            till.deliver_all().await;
        }
        let known = till.shop.app.payments.automatic(id).await.unwrap().unwrap();
        assert_eq!((known.is_on, known.reason), (false, Some(Reason::MoneyBack)), "it must not be charged again for what went back");
        assert_eq!(till.look_at(id).await, None);
    }
    // Whoever agrees again with too little buys at once.
    assert_eq!((till.mails(&customer, "switched off").await, till.automatic(id).await.len()), (2, 3));
    till.finish().await;
}

#[tokio::test]
async fn a_customer_agrees_on_a_page_and_what_was_agreed_to_is_kept() {
    let till = Till::open().await;
    let customer = till.customer().await;
    let id = customer.user.id;
    let buyer = Visitor::logged_in(&till.shop, &customer.user).await;
    assert!(buyer.read("/account/payment").await.contains("No card is saved"));
    let fields = [("below", "5"), ("amount", "20"), ("monthly", "100"), ("agree", "on")];
    let answer = buyer.submit("/account/payment", "/account/payment/automatic", &fields).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "there is no card");

    let answer = buyer.submit("/account/top-up", "/account/orders", &[("amount", "10"), ("keep_card", "on")]).await;
    let order = location(&answer).trim_end_matches("?go").to_owned();
    let pay = location(&buyer.get(&format!("{order}/pay")).await).to_owned();
    let checkout = pay.rsplit('/').next().unwrap().split(['?', '#']).next().unwrap().to_owned();
    till.stripe.pay(&checkout, Card::Good).unwrap();
    till.stripe.settled().await;
    till.handled().await;
    let page = buyer.read("/account/payment").await;
    assert!(page.contains("•••• 4242") && page.contains("name=\"agree\""), "{page}");
    for (name, value) in [("below", "0"), ("amount", "1"), ("monthly", "19"), ("agree", "")] {
        let mut bad = fields;
        bad.iter_mut().filter(|(known, _)| *known == name).for_each(|field| field.1 = value);
        assert_eq!(buyer.submit("/account/payment", "/account/payment/automatic", &bad).await.status(), StatusCode::UNPROCESSABLE_ENTITY, "{name}");
    }
    assert!(till.shop.app.payments.automatic(id).await.unwrap().is_none(), "nothing was agreed to");
    assert_eq!(buyer.submit("/account/payment", "/account/payment/automatic", &fields).await.status(), StatusCode::SEE_OTHER);
    let sql = "SELECT terms, given_at FROM card_consent WHERE user_id = $1";
    let (terms, at): (String, i64) = sqlx::query_as(sql).bind(id.0).fetch_one(&mut *till.shop.app.db.read().await.unwrap()).await.unwrap();
    assert!(terms.contains("\"amount\":\"20\"") && terms.contains("4242") && terms.contains("$20.00") && at == till.clock.now_ms(), "{terms}");

    till.drain(id).await;
    till.look_at(id).await;
    let is_paid = || async { till.available(id).await == Usd::dollars(24) };
    till.shop.until("it is paid", is_paid).await;
    assert!(buyer.read("/account/payment").await.contains("$20.00 of $100.00"));
    assert!(buyer.read("/account/orders").await.contains("Automatic"));
    let admin = Visitor::logged_in(&till.shop, &crate::web::owner(&till.shop).await).await;
    assert!(admin.read("/admin/orders").await.contains("Automatic"));

    let portal = buyer.get("/account/payment/portal").await;
    assert!(location(&portal).starts_with(&till.stripe.base_url()));
    assert_eq!(buyer.submit("/account/payment/forget", "/account/payment/forget", &[]).await.status(), StatusCode::SEE_OTHER);
    let page = buyer.read("/account/payment").await;
    assert!(page.contains("No card is saved") && !page.contains("automatic/off"), "{page}");
    till.drain(id).await;
    assert_eq!((till.look_at(id).await, till.charged().len()), (None, 1));
    till.finish().await;
}

#[tokio::test]
async fn a_message_that_is_lost_and_a_process_that_died_before_the_charge_are_made_good() {
    let till = Till::open().await;
    till.stripe.post(Post { lose: vec!["*".into()], ..Post::default() });
    let customer = till.customer().await;
    let id = customer.user.id;
    let wish = NewOrder { wish: Wish::TopUpAndKeepCard(Usd::dollars(10)), ..till.wish(id, 10) };
    let order = till.shop.app.payments.order(&wish).await.unwrap();
    till.shop.app.payments.pay_page(&order).await.unwrap();
    till.stripe.pay(&till.find(order.id).await.checkout.unwrap(), Card::Good).unwrap();
    till.shop.app.payments.look(order.id).await.unwrap();
    till.agree(id, 1000).await;
    till.drain(id).await;
    // The order is made, and nothing was asked of the provider.
    till.stripe.fail_next(&[Fault::Pass, Fault::HangUp]);
    till.shop.app.payments.top_up_if_low(id).await.unwrap_err();
    assert!(till.charged().is_empty());
    till.clock.advance(2 * MINUTE);
    let is_paid = || async {
        till.shop.app.payments.look_at_due().await.unwrap();
        till.available(id).await == Usd::dollars(24)
    };
    till.shop.until("it is paid", is_paid).await;
    assert_eq!(till.charged(), ["succeeded"]);
    till.finish().await;
}
