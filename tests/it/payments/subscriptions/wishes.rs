//! What is wished here is told to the provider, and what is done on its pages counts here.

use super::{MONTH, TEN, telling};
use crate::payments::{Till, permutations};
use farebox::demo::stripe::Fault;
use farebox::kernel::clock::DAY_MS;
use farebox::kernel::{Id, Usd};
use farebox::ledger::House;
use farebox::payments::{Order, State};
use farebox::plans::{self, Ending, State as PlanState};
use futures_util::future::join_all;

impl Till {
    /// A wish of a subscription's customer.
    pub async fn cancel(&self, subscription: Id, ending: Ending) {
        let app = &self.shop.app;
        let mut tx = app.db.write().await.unwrap();
        plans::cancel(&mut tx, &app.kit, &app.books, subscription, ending).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn resume(&self, subscription: Id) {
        let app = &self.shop.app;
        let mut tx = app.db.write().await.unwrap();
        plans::resume(&mut tx, &app.kit, &app.books, subscription).await.unwrap();
        tx.commit().await.unwrap();
    }

    /// Waits until the provider knows of every wish; a job may be telling it just now.
    pub async fn told(&self) {
        let is_told = || async {
            self.clock.advance(1_000);
            self.shop.app.payments.tell_due().await.unwrap();
            plans::untold(&mut self.shop.app.db.read().await.unwrap(), i64::MAX, 1).await.unwrap().is_empty()
        };
        self.shop.until("the provider knows", is_told).await;
    }

    /// Does something to a subscription on the provider's pages.
    async fn there(&self, external: &str, cancel: Option<bool>) {
        let url = format!("{}/v1/subscriptions/{external}", self.stripe.base_url());
        let request = match cancel {
            Some(cancel) => self.shop.http.post(url).form(&[("cancel_at_period_end", cancel.to_string())]),
            None => self.shop.http.delete(url),
        };
        assert_eq!(request.bearer_auth("sk_test_of_the_test").send().await.unwrap().status(), 200);
    }

    fn ends_there(&self, order: &Order) -> bool {
        self.stripe.object(order.subscription.as_deref().unwrap())["cancel_at_period_end"] == true
    }
}

#[tokio::test]
async fn the_provider_is_told_of_every_wish_even_when_it_is_away_for_a_while() {
    let till = Till::held().await;
    let (user, plan) = (till.customer().await.user.id, till.plan(MONTH).await);
    let order = till.subscribed(user, plan).await;
    let id = till.subscription(user).await.id;
    till.stripe.fail_next(&[Fault::Status(500), Fault::HangUp]);
    till.cancel(id, Ending::PeriodEnd).await;
    till.told().await;
    assert!(till.ends_there(&order));
    till.deliver_all().await;
    assert!(till.subscription(user).await.cancelled_at.is_some());
    till.stripe.fail_next(&[Fault::LoseAnswer, Fault::LoseAnswer]);
    till.resume(id).await;
    till.told().await;
    assert!(!till.ends_there(&order));
    till.deliver_all().await;
    assert_eq!((till.subscription(user).await.cancelled_at, till.subscription(user).await.state), (None, PlanState::Active));
    till.cancel(id, Ending::Now(House::Revenue)).await;
    till.told().await;
    assert_eq!(till.stripe.object(order.subscription.as_deref().unwrap())["status"], "canceled");
    till.deliver_all().await;
    assert_eq!((till.subscription(user).await.state, till.left(user).await.0), (PlanState::Ended, Usd::ZERO));
    let asked = till.stripe.asked().len();
    till.clock.advance(DAY_MS);
    till.shop.app.payments.tell_due().await.unwrap();
    assert_eq!(till.stripe.asked().len(), asked, "what is known is not told again");
    till.finish().await;
}

#[tokio::test]
async fn what_is_done_on_the_providers_pages_counts_here_in_every_order_of_its_messages() {
    let till = Till::held().await;
    let plan = till.plan(MONTH).await;
    for turn in permutations(4) {
        let user = till.customer().await.user.id;
        let order = till.subscribed(user, plan).await;
        let external = order.subscription.clone().unwrap();
        let before = till.stripe.messages().len();
        for cancel in [true, false, true, false] {
            till.there(&external, Some(cancel)).await;
        }
        let messages = telling(till.stripe.messages().split_off(before));
        // As many are held back as the turn's first says: the last word counts, whichever message brings it.
        let last = turn[0] % 2 == 0;
        if last {
            till.there(&external, Some(true)).await;
        }
        for at in turn {
            assert_eq!(join_all((0..5).map(|_| till.stripe.deliver(&messages[at].id))).await, [200; 5]);
        }
        till.handled().await;
        let view = till.subscription(user).await;
        assert_eq!((view.cancelled_at.is_some(), view.state), (last, PlanState::Active));
        assert!(plans::untold(&mut till.shop.app.db.read().await.unwrap(), i64::MAX, 10).await.unwrap().is_empty(), "what came from there is not told there");
    }
    till.finish().await;
}

#[tokio::test]
async fn what_ends_there_ends_here_and_a_wish_of_ours_is_not_undone_by_an_older_word() {
    let till = Till::held().await;
    let (user, plan) = (till.customer().await.user.id, till.plan(MONTH).await);
    let order = till.subscribed(user, plan).await;
    let external = order.subscription.clone().unwrap();
    // A word about something else comes while a wish of ours is on its way.
    till.there(&external, Some(false)).await;
    till.stripe.fail_next(&[]);
    till.cancel(till.subscription(user).await.id, Ending::PeriodEnd).await;
    till.deliver_all().await;
    assert!(till.subscription(user).await.cancelled_at.is_some());
    till.told().await;
    till.deliver_all().await;
    assert!(till.ends_there(&order) && till.subscription(user).await.cancelled_at.is_some());
    till.there(&external, Some(false)).await;
    till.deliver_all().await;
    assert_eq!(till.subscription(user).await.cancelled_at, None, "taken back on the provider's pages");
    till.there(&external, None).await;
    till.deliver_all().await;
    let view = till.subscription(user).await;
    assert_eq!((view.state, till.left(user).await.0, view.terms[0].paid), (PlanState::Ended, Usd::ZERO, TEN));
    till.finish().await;
}

#[tokio::test]
async fn a_cancelled_one_ends_with_its_period_on_both_sides_and_is_not_billed() {
    let till = Till::held().await;
    let (user, plan) = (till.customer().await.user.id, till.plan(MONTH).await);
    let order = till.subscribed(user, plan).await;
    let end = till.period(&order).1;
    till.cancel(till.subscription(user).await.id, Ending::PeriodEnd).await;
    till.told().await;
    till.go_to(end - 1).await;
    assert_eq!(till.subscription(user).await.state, PlanState::Active);
    till.go_to(end).await;
    till.deliver_all().await;
    assert_eq!((till.subscription(user).await.state, till.orders_of(user).await.len()), (PlanState::Ended, 1));
    assert_eq!(till.stripe.object(order.subscription.as_deref().unwrap())["status"], "canceled");
    till.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_renewal_and_cancellations_at_once_fifty_of_them_agree_on_the_money() {
    let till = Till::held().await;
    let plan = till.plan(MONTH).await;
    for round in 0..6 {
        let user = till.customer().await.user.id;
        let order = till.subscribed(user, plan).await;
        let before = till.stripe.messages().len();
        till.clock.advance(till.period(&order).1 - farebox::kernel::Clock::now_ms(&till.clock));
        let messages = telling(till.stripe.messages().split_off(before));
        let bill = messages.iter().find(|message| message.kind == "invoice.paid" && message.body.contains(order.subscription.as_deref().unwrap())).unwrap();
        let id = till.subscription(user).await.id;
        let ending = if round % 2 == 0 { Ending::Now(House::Revenue) } else { Ending::PeriodEnd };
        let deliveries = (0..40).map(|_| till.stripe.deliver(&bill.id));
        let cancellations = (0..10).map(|_| till.cancel(id, ending));
        let (answers, _) = futures_util::future::join(join_all(deliveries), join_all(cancellations)).await;
        assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
        till.handled().await;
        let orders = till.orders_of(user).await;
        assert_eq!(orders.len(), 2, "the bill has one order");
        let view = till.subscription(user).await;
        if view.terms.len() == 1 {
            let is_back = || async {
                till.shop.app.payments.refund_due().await.unwrap();
                till.state(orders[1].id).await == State::Refunded
            };
            till.shop.until("what came too late goes back", is_back).await;
            assert_eq!(view.state, PlanState::Ended);
        } else {
            assert_eq!((till.state(orders[1].id).await, view.terms[1].paid, view.cancelled_at.is_some()), (State::Paid, TEN, true));
        }
        till.told().await;
        assert_eq!(till.available(user).await, Usd::ZERO);
    }
    till.finish().await;
}
