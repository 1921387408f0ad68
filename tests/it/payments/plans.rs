//! Plans that were paid for by card, whose money goes back.

use super::gift_cards::house;
use super::{Till, permutations};
use crate::harness::app::Customer;
use crate::plans::draft;
use farebox::demo::stripe::Card;
use farebox::kernel::clock::DAY_MS;
use farebox::kernel::{Id, Usd};
use farebox::ledger::House;
use farebox::payments::{NewOrder, Order, PaymentError, State, Wish};
use farebox::plans::{self, State as PlanState, SubscriptionView};
use serde_json::json;

/// Three months for 30 dollars, with 12 dollars to spend in each.
const QUARTER: &[(&str, &str)] = &[("price", "30"), ("sold", "once"), ("length", "3"), ("reset", "month"), ("allowance", "12")];
const DOLLAR: i64 = 100;

fn dollars(all: [i64; 3]) -> [Usd; 3] {
    all.map(Usd::dollars)
}

impl Till {
    pub(super) async fn plan(&self, fields: &[(&'static str, &'static str)]) -> Id {
        plans::save(&self.shop.app.db, &self.shop.app.kit, Id(1), None, &draft(fields)).await.unwrap()
    }

    async fn buy(&self, user: Id, plan: Id) -> Order {
        let wish = NewOrder { wish: Wish::Plan(plan), ..self.wish(user, 1) };
        let order = self.shop.app.payments.order(&wish).await.expect("an order");
        self.shop.app.payments.pay_page(&order).await.expect("a page").expect("an address");
        let checkout = self.find(order.id).await.checkout.expect("the page is known");
        self.stripe.pay(&checkout, Card::Good).expect("the card pays");
        self.deliver_all().await;
        let order = self.find(order.id).await;
        assert_eq!(order.state, State::Paid);
        self.shop.app.plans.refresh(&self.shop.app.db).await.unwrap();
        order
    }

    pub(super) async fn days_pass(&self, days: i64) {
        self.clock.advance(days * DAY_MS);
        let app = &self.shop.app;
        plans::run_due(&app.db, &app.kit, &app.books).await.unwrap();
        app.books.expire(&app.db).await.unwrap();
    }

    pub(super) async fn views(&self, user: Id) -> Vec<SubscriptionView> {
        plans::of_user(&mut self.shop.app.db.read().await.unwrap(), user, None, 10).await.unwrap()
    }

    /// What the allowances have left, and what is owed.
    pub(super) async fn left(&self, user: Id) -> (Usd, Usd) {
        let balance = self.shop.app.books.balance(&mut self.shop.app.db.read().await.unwrap(), user).await.unwrap();
        (balance.in_plans, balance.owed)
    }

    /// A request that the plan pays for, and what it has cost.
    async fn spend(&self, customer: &Customer) -> Usd {
        let body = json!({"model": "demo-chat", "max_tokens": 1000, "messages": [{"role": "user", "content": "[[tokens=50]] hello"}]});
        assert_eq!(self.shop.chat(&customer.key, body).await.status(), 200);
        self.shop.requests(customer.user.id).await[0].cost
    }

    /// What lies in the accounts of plans, of money, and of losses.
    pub(super) async fn money(&self) -> [Usd; 3] {
        [Usd(house(self, House::Plans).await), Usd(house(self, House::Cash).await), Usd(house(self, House::Loss).await)]
    }
}

#[tokio::test]
async fn all_of_a_plans_price_ends_it_and_takes_what_is_left_first() {
    for owed in [true, false] {
        let till = Till::held().await;
        till.shop.stock(&["demo-chat"]).await;
        let customer = till.customer().await;
        let user = customer.user.id;
        let plan = till.plan(QUARTER).await;
        let order = till.buy(user, plan).await;
        till.days_pass(35).await;
        let cost = till.spend(&customer).await;
        assert!(cost > Usd::ZERO);
        till.refund(&order, 30 * DOLLAR, owed).await.unwrap();
        till.deliver_all().await;
        // The third month's 10 go back, and what the second has left; the first month has passed.
        let rest = Usd::dollars(10) + cost;
        let (debt, loss) = if owed { (rest, Usd::ZERO) } else { (Usd::ZERO, rest) };
        assert_eq!(till.left(user).await, (Usd::ZERO, debt));
        assert_eq!((till.state(order.id).await, till.views(user).await[0].state), (State::Refunded, PlanState::Ended));
        assert_eq!(till.money().await, [Usd::ZERO, Usd::ZERO, loss]);
        assert!(matches!(till.refund(&till.find(order.id).await, 1, owed).await, Err(PaymentError::NotRefundable)));
        till.finish().await;
    }
}

#[tokio::test]
async fn a_part_of_a_plans_price_is_a_gift_and_the_rest_ends_it() {
    let till = Till::held().await;
    let user = till.customer().await.user.id;
    let plan = till.plan(QUARTER).await;
    let order = till.buy(user, plan).await;
    till.refund(&order, 5 * DOLLAR, true).await.unwrap();
    assert_eq!((till.state(order.id).await, till.left(user).await), (State::PartlyRefunded, (Usd::dollars(12), Usd::ZERO)));
    assert_eq!(till.money().await, dollars([-20, 25, 5]));
    till.refund(&order, 25 * DOLLAR, true).await.unwrap();
    assert_eq!((till.state(order.id).await, till.left(user).await), (State::Refunded, (Usd::ZERO, Usd::ZERO)));
    assert_eq!((till.money().await, till.views(user).await[0].state), (dollars([0, 0, 5]), PlanState::Ended));
    till.finish().await;
}

#[tokio::test]
async fn a_refund_of_a_plan_waits_for_a_request_in_flight() {
    let till = Till::held().await;
    till.shop.stock(&["demo-chat"]).await;
    let customer = till.customer().await;
    let user = customer.user.id;
    let plan = till.plan(QUARTER).await;
    let order = till.buy(user, plan).await;
    let body = json!({"model": "demo-chat", "stream": true, "max_tokens": 1000, "messages": [{"role": "user", "content": "[[tokens=5, gate=2]] hello"}]});
    let running = till.shop.chat(&customer.key, body).await;
    till.shop.upstream.log().wait_held().await.unwrap();
    till.refund(&order, 30 * DOLLAR, true).await.unwrap();
    assert_eq!((till.state(order.id).await, till.left(user).await.0), (State::Paid, Usd::ZERO), "it waits, and nothing new is spent of it");
    till.shop.upstream.release_gate();
    running.text().await.unwrap();
    till.clock.advance(10_000);
    till.shop
        .until("the refund goes on", || async {
            till.shop.app.payments.refund_due().await.unwrap();
            till.state(order.id).await == State::Refunded
        })
        .await;
    let cost = till.shop.requests(user).await[0].cost;
    assert_eq!(till.left(user).await, (Usd::ZERO, cost));
    till.finish().await;
}

#[tokio::test]
async fn each_of_two_terms_in_a_row_can_go_back() {
    for first in [true, false] {
        let till = Till::held().await;
        let user = till.customer().await.user.id;
        let plan = till.plan(&[("price", "10"), ("sold", "once"), ("allowance", "12")]).await;
        let (one, two) = (till.buy(user, plan).await, till.buy(user, plan).await);
        assert_eq!(till.views(user).await.len(), 1, "the second makes the first longer");
        till.refund(if first { &one } else { &two }, 10 * DOLLAR, true).await.unwrap();
        assert_eq!(till.left(user).await, (if first { Usd::ZERO } else { Usd::dollars(12) }, Usd::ZERO));
        till.days_pass(31).await;
        let (state, left) = if first { (PlanState::Active, Usd::dollars(12)) } else { (PlanState::Ended, Usd::ZERO) };
        assert_eq!((till.views(user).await[0].state, till.left(user).await.0), (state, left));
        till.days_pass(31).await;
        assert_eq!((till.views(user).await[0].state, till.money().await), (PlanState::Ended, dollars([0, 10, 0])));
        till.finish().await;
    }
}

#[tokio::test]
async fn a_dispute_freezes_a_plan_and_a_won_one_gives_back_what_it_had() {
    let till = Till::held().await;
    let user = till.customer().await.user.id;
    let plan = till.plan(QUARTER).await;
    let order = till.buy(user, plan).await;
    let dispute = till.stripe.dispute(order.payment.as_deref().unwrap()).unwrap();
    till.deliver_all().await;
    assert_eq!((till.state(order.id).await, till.left(user).await.0), (State::Disputed, Usd::ZERO));
    till.days_pass(35).await;
    assert_eq!(till.left(user).await.0, Usd::ZERO, "what begins meanwhile is frozen, too");
    till.stripe.close_dispute(&dispute, true).unwrap();
    till.deliver_all().await;
    assert_eq!((till.state(order.id).await, till.left(user).await.0), (State::Paid, Usd::dollars(24)));
    till.days_pass(35).await;
    assert_eq!(till.left(user).await.0, Usd::dollars(12), "the first two months' have expired, the third's has come");
    till.finish().await;
}

#[tokio::test]
async fn what_was_won_after_the_plan_has_ended_becomes_credit() {
    let till = Till::held().await;
    let user = till.customer().await.user.id;
    let plan = till.plan(&[("price", "10"), ("sold", "once"), ("allowance", "12")]).await;
    let order = till.buy(user, plan).await;
    let dispute = till.stripe.dispute(order.payment.as_deref().unwrap()).unwrap();
    till.deliver_all().await;
    till.days_pass(40).await;
    assert_eq!(till.views(user).await[0].state, PlanState::Ended);
    till.stripe.close_dispute(&dispute, true).unwrap();
    till.deliver_all().await;
    assert_eq!((till.available(user).await, till.left(user).await.0), (Usd::dollars(12), Usd::ZERO));
    till.days_pass(31).await;
    assert_eq!((till.available(user).await, till.money().await), (Usd::ZERO, dollars([0, 10, 0])));
    till.finish().await;
}

#[tokio::test]
async fn a_lost_dispute_ends_the_plan_and_what_was_spent_is_owed_in_every_order_of_its_messages() {
    let till = Till::held().await;
    till.shop.stock(&["demo-chat"]).await;
    let plan = till.plan(QUARTER).await;
    for turn in permutations(3) {
        let customer = till.customer().await;
        let user = customer.user.id;
        let before = till.money().await;
        let order = till.buy(user, plan).await;
        let cost = till.spend(&customer).await;
        let messages = till.messages_of(|| {
            let dispute = till.stripe.dispute(order.payment.as_deref().unwrap()).unwrap();
            till.stripe.close_dispute(&dispute, false).unwrap();
        });
        for at in turn.into_iter().filter(|at| *at < messages.len()) {
            for _ in 0..5 {
                assert_eq!(till.stripe.deliver(&messages[at].id).await, 200);
            }
        }
        till.deliver_all().await;
        till.shop.app.payments.settle_disputes().await.unwrap();
        assert_eq!((till.left(user).await, till.state(order.id).await), ((Usd::ZERO, cost), State::Disputed));
        assert_eq!(till.views(user).await[0].state, PlanState::Ended);
        assert_eq!(till.money().await, before, "all of it has left, as it had come");
    }
    till.finish().await;
}

#[tokio::test]
async fn fifty_refunds_of_a_plan_at_once_pay_it_back_once() {
    let till = Till::held().await;
    let user = till.customer().await.user.id;
    let plan = till.plan(QUARTER).await;
    let order = till.buy(user, plan).await;
    let refunds = futures_util::future::join_all((0..50).map(|_| till.refund(&order, 30 * DOLLAR, true))).await;
    assert_eq!(refunds.iter().filter(|refund| refund.is_ok()).count(), 1);
    assert_eq!((till.state(order.id).await, till.money().await), (State::Refunded, dollars([0, 0, 0])));
    till.finish().await;
}
