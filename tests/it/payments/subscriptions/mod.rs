//! Subscriptions by card, over HTTP from end to end.

mod beginning;
mod changes;
mod dunning;
mod renewals;
mod wishes;

use super::Till;
use crate::plans::at;
use farebox::demo::stripe::{Card, Message};
use farebox::kernel::{Id, Usd};
use farebox::payments::{NewOrder, Order, PaymentError, State, Wish};
use farebox::plans::{self, SubscriptionView};
use serde_json::Value;

/// A month for 10 dollars that grants 12.
pub const MONTH: &[(&str, &str)] = &[("sold", "subscription")];
pub const TEN: Usd = Usd::dollars(10);
pub const TWELVE: Usd = Usd::dollars(12);

impl Till {
    /// An order that begins a subscription.
    pub async fn wish_subscription(&self, user: Id, plan: Id) -> Result<Order, PaymentError> {
        self.shop.app.payments.order(&NewOrder { wish: Wish::Subscription(plan), ..self.wish(user, 1) }).await
    }

    /// One whose page is open: the order and the page's id.
    pub async fn opened_subscription(&self, user: Id, plan: Id) -> (Order, String) {
        let order = self.wish_subscription(user, plan).await.expect("an order");
        self.shop.app.payments.pay_page(&order).await.expect("a page").expect("an address");
        let order = self.find(order.id).await;
        let checkout = order.checkout.clone().expect("the page is known");
        (order, checkout)
    }

    /// One that has begun, and of which the shop has heard.
    pub async fn subscribed(&self, user: Id, plan: Id) -> Order {
        let (order, checkout) = self.opened_subscription(user, plan).await;
        self.stripe.pay(&checkout, Card::Good).expect("the card pays");
        self.deliver_all().await;
        let order = self.find(order.id).await;
        assert_eq!(order.state, State::Paid);
        order
    }

    /// Moves both clocks to a moment.
    pub async fn go_to(&self, moment: i64) {
        self.clock.advance(moment - farebox::kernel::Clock::now_ms(&self.clock));
        self.stripe.pass_time();
        self.run_plans().await;
    }

    pub async fn go_to_day(&self, moment: &str) {
        self.go_to(at(moment)).await;
    }

    pub async fn run_plans(&self) {
        let app = &self.shop.app;
        plans::run_due(&app.db, &app.kit, &app.books).await.unwrap();
        app.books.expire(&app.db).await.unwrap();
    }

    /// The one subscription of a customer.
    pub async fn subscription(&self, user: Id) -> SubscriptionView {
        let mut all = self.views(user).await;
        assert_eq!(all.len(), 1);
        all.remove(0)
    }

    /// The customer's orders, the oldest first.
    pub async fn orders_of(&self, user: Id) -> Vec<Order> {
        let mut all = self.shop.app.payments.orders_of(&mut self.shop.app.db.read().await.unwrap(), user, None, 100).await.unwrap();
        all.reverse();
        all
    }

    /// The period that the provider counts now, in milliseconds.
    pub fn period(&self, order: &Order) -> (i64, i64) {
        let item = self.stripe.object(order.subscription.as_deref().expect("it has begun"))["items"]["data"][0].clone();
        let at = |name: &str| item[name].as_i64().unwrap() * 1000;
        (at("current_period_start"), at("current_period_end"))
    }

    pub async fn deliver(&self, message: &Message) {
        assert_eq!(self.stripe.deliver(&message.id).await, 200, "{}", message.kind);
    }
}

/// The object of a message.
pub fn object(message: &Message) -> Value {
    serde_json::from_str::<Value>(&message.body).unwrap()["data"]["object"].clone()
}

/// Those messages that a shop acts on when it hears of a subscription.
pub fn telling(messages: Vec<Message>) -> Vec<Message> {
    let kinds = ["checkout.session.completed", "payment_intent.succeeded", "invoice.paid", "customer.subscription.created", "customer.subscription.updated"];
    messages.into_iter().filter(|message| kinds.contains(&message.kind.as_str())).collect()
}
