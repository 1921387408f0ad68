//! Money from outside, over HTTP from end to end: a shop, a simulated Stripe, and messages that come late, twice, in any order, or never.

mod automatic;
mod compare;
mod confirmations;
mod disputes;
mod doors;
mod every_order;
mod gift_cards;
mod killed;
mod lost;
mod orders;
mod pages;
mod plans;
mod refunds;
mod subscriptions;

use crate::harness::TestApp;
use crate::harness::app::Customer;
use farebox::demo::stripe::{Card, Message, Options, Post, Stripe};
use farebox::kernel::{Clock, Id, IdGen, Kit, Random, Usd};
use farebox::payments::{NewOrder, NewRefund, Order, State, Wish};
use farebox::settings::{self, Tier, TopUpTerms};

const SECRET: &str = "whsec_of_the_test";
/// 2026-03-01 12:00 UTC.
const NOON: i64 = 1_772_366_400_000;
pub const MINUTE: i64 = 60_000;

/// A shop that takes cards, and the Stripe behind it.
pub struct Till {
    pub shop: TestApp,
    pub stripe: Stripe,
    pub clock: Clock,
}

impl Till {
    /// One whose messages leave only when the test delivers them.
    pub async fn held() -> Self {
        let till = Self::open().await;
        till.stripe.post(Post { held: true, ..Post::default() });
        till
    }

    /// One whose messages leave at once.
    pub async fn open() -> Self {
        let clock = Clock::manual(NOON);
        let kit = Kit { clock: clock.clone(), ids: IdGen::new(clock.clone(), 1, 0), random: Random::seeded(7) };
        let stripe = Stripe::start(Options::new(&kit, "sk_test_of_the_test")).await.expect("the simulated Stripe starts");
        let base = stripe.base_url();
        let settings = [("STRIPE_API_BASE", base.as_str()), ("STRIPE_SECRET_KEY", "sk_test_of_the_test"), ("STRIPE_WEBHOOK_SECRET", SECRET)];
        let shop = TestApp::at_time(&clock, &settings).await;
        // The shop asks for lost messages once when it starts: what a test makes must not be found by that.
        let fetched =
            || async { settings::get(&mut shop.app.db.read().await.expect("a connection"), settings::Name::EventsFetched).await.expect("a setting").is_some() };
        shop.until("the first fetch is over", fetched).await;
        stripe.send_to(&shop.at("/webhooks/stripe"), SECRET);
        Self { shop, stripe, clock }
    }

    pub async fn customer(&self) -> Customer {
        self.shop.customer(Usd::ZERO).await
    }

    /// An order of so many dollars of credit, paid by card.
    pub fn wish(&self, user: Id, dollars: i64) -> NewOrder {
        let method = self.shop.app.payments.by_card().expect("cards are taken");
        let (title, language, coupon) = ("Credit".to_owned(), "en".to_owned(), String::new());
        NewOrder { user, wish: Wish::TopUp(Usd::dollars(dollars)), title, language, method, coupon }
    }

    /// An order of so many dollars of credit, with so many given on top.
    pub async fn order(&self, user: Id, dollars: i64, bonus: i64) -> Order {
        let tiers = if bonus > 0 { vec![Tier { from: Usd::dollars(dollars), bonus: Usd::dollars(bonus) }] } else { vec![] };
        self.sell(&TopUpTerms { tiers, ..TopUpTerms::default() }).await;
        self.shop.app.payments.order(&self.wish(user, dollars)).await.expect("an order")
    }

    /// Says how credit is sold.
    pub async fn sell(&self, terms: &TopUpTerms) {
        if self.shop.app.settings.now().top_up == *terms {
            return;
        }
        let mut tx = self.shop.app.db.write().await.expect("a transaction");
        settings::set_top_up(&mut tx, self.clock.now_ms(), terms).await.expect("the terms are set");
        tx.commit().await.expect("a commit");
        self.shop.app.settings.refresh(&self.shop.app.db).await.expect("the settings are read");
    }

    /// An order whose page is open: the order and the page's id.
    pub async fn opened(&self, user: Id, dollars: i64, bonus: i64) -> (Order, String) {
        let order = self.order(user, dollars, bonus).await;
        self.shop.app.payments.pay_page(&order).await.expect("a page").expect("an address");
        let order = self.find(order.id).await;
        let checkout = order.checkout.clone().expect("the page is known");
        (order, checkout)
    }

    /// An order that was paid, and of which the shop has heard.
    pub async fn paid(&self, user: Id, dollars: i64, bonus: i64) -> Order {
        let (order, checkout) = self.opened(user, dollars, bonus).await;
        self.stripe.pay(&checkout, Card::Good).expect("the card pays");
        self.deliver_all().await;
        let order = self.find(order.id).await;
        assert_eq!(order.state, State::Paid);
        order
    }

    pub async fn find(&self, id: Id) -> Order {
        self.shop.app.payments.find(id).await.expect("the order")
    }

    pub async fn state(&self, id: Id) -> State {
        self.find(id).await.state
    }

    pub async fn available(&self, user: Id) -> Usd {
        self.shop.available(user).await
    }

    /// Delivers everything that was not delivered, in the order in which it happened.
    pub async fn deliver_all(&self) {
        for message in self.stripe.untaken() {
            assert_eq!(self.stripe.deliver(&message.id).await, 200, "{}", message.kind);
        }
        self.handled().await;
    }

    /// Waits until every stored message was handled.
    pub async fn handled(&self) {
        let waiting = || async {
            let mut conn = self.shop.app.db.read().await.expect("a connection");
            sqlx::query_scalar::<_, i64>("SELECT COUNT(*) FROM payment_event WHERE state = 'new'").fetch_one(&mut *conn).await.expect("a count") == 0
        };
        self.shop.until("every message was handled", waiting).await;
    }

    /// The messages that a step makes.
    pub fn messages_of(&self, step: impl FnOnce()) -> Vec<Message> {
        let before = self.stripe.messages().len();
        step();
        self.stripe.messages().split_off(before)
    }

    pub async fn refund(&self, order: &Order, minor: i64, owed: bool) -> Result<Id, farebox::payments::PaymentError> {
        let id = self.shop.app.kit.ids.next();
        let amount = farebox::kernel::Money::new(minor, order.price.currency);
        let new = NewRefund { id, order: order.id, amount, owed, reason: "asked for".into(), actor: order.user };
        self.shop.app.payments.refund(&new).await.map(|()| id)
    }

    pub async fn finish(self) {
        self.shop.finish().await;
        self.stripe.stop().await;
    }
}

/// Every order of so many things.
pub fn permutations(n: usize) -> Vec<Vec<usize>> {
    if n == 0 {
        return vec![vec![]];
    }
    let shorter = permutations(n - 1);
    shorter.iter().flat_map(|rest| (0..n).map(move |at| [&rest[..at], &[n - 1], &rest[at..]].concat())).collect()
}
