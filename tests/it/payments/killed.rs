//! The process is killed between what it does about a payment: a message that is stored and not handled, handled and not committed, a refund whose credit was taken
//! and of which the provider knows nothing. Whoever starts next goes on, and everything has happened once.

use super::SECRET;
use crate::harness::app::{APP_SECRET, TestApp};
use crate::harness::child::{Serving, farebox};
use crate::harness::kit;
use farebox::demo::stripe::{Card, Fault, Message, Options, Post, Stripe};
use farebox::kernel::{Clock, Kit, Money, Usd};
use farebox::payments::{NewOrder, NewRefund, Order, Wish};
use std::os::unix::process::ExitStatusExt;

const KEY: &str = "sk_test_of_the_test";

/// A shop with a payment under way, left to processes that may be killed.
struct Scene {
    shop: TestApp,
    stripe: Stripe,
    order: Order,
}

impl Scene {
    /// An order of 10 dollars whose page is open. `before` is done in this process before its shop closes.
    async fn set(before: impl AsyncFnOnce(&TestApp, &Stripe, &Order)) -> Self {
        let real = Kit { clock: Clock::system(), ..kit() };
        let stripe = Stripe::start(Options::new(&real, KEY)).await.unwrap();
        stripe.post(Post { held: true, ..Post::default() });
        let base = stripe.base_url();
        let mut shop = TestApp::with(&[("STRIPE_API_BASE", &base), ("STRIPE_SECRET_KEY", KEY), ("STRIPE_WEBHOOK_SECRET", SECRET)]).await;
        stripe.send_to(&shop.at("/webhooks/stripe"), SECRET);
        let user = shop.customer(Usd::ZERO).await.user.id;
        let payments = shop.app.payments.clone();
        let method = payments.by_card().unwrap();
        let wish = NewOrder { user, wish: Wish::TopUp(Usd::dollars(10)), title: "Credit".into(), language: "en".into(), method, coupon: String::new() };
        let order = payments.order(&wish).await.unwrap();
        payments.pay_page(&order).await.unwrap().unwrap();
        let order = payments.find(order.id).await.unwrap();
        before(&shop, &stripe, &order).await;
        // What has happened so far is known: the next process stores only what is told to it.
        let mut tries = 0..10;
        while payments.fetch_messages().await.is_err() && tries.next().is_some() {}
        shop.take_server().shutdown().await; // closes this process's database
        Self { shop, stripe, order }
    }

    async fn serve(&self, kill_at: Option<&str>) -> Serving {
        let before = self.fetched().await;
        let serving = self.start(kill_at).await;
        // A shop asks for lost messages when it starts: what a test makes next must not be found by that.
        self.shop.until("the first fetch is over", || async { self.fetched().await > before }).await;
        serving
    }

    async fn start(&self, kill_at: Option<&str>) -> Serving {
        let folder = self.shop.folder.path();
        let (data, base) = (folder.display().to_string(), self.stripe.base_url());
        let mut settings = vec![("DATABASE_URL", self.shop.db.url.as_str()), ("DATA_DIR", &data), ("APP_SECRET", APP_SECRET), ("RUST_LOG", "info")];
        settings.extend([("STRIPE_API_BASE", base.as_str()), ("STRIPE_SECRET_KEY", KEY), ("STRIPE_WEBHOOK_SECRET", SECRET)]);
        settings.extend(kill_at.map(|point| ("FAREBOX_KILL_AT", point)));
        let serving = Serving::start(folder, &settings).await;
        self.stripe.send_to(&format!("{}/webhooks/stripe", serving.url), SECRET);
        serving
    }

    async fn fetched(&self) -> i64 {
        self.ask("SELECT COALESCE(MAX(updated_at), 0) FROM setting WHERE name = 'events-fetched'").await
    }

    /// Makes the leases of jobs that the dead held old, so that the test need not wait.
    async fn lose_touch_with_the_dead(&self) {
        let mut tx = self.shop.db.db.write().await.unwrap();
        sqlx::query("UPDATE node SET heartbeat_at = 0 WHERE stopped_at IS NULL").execute(&mut *tx).await.unwrap();
        sqlx::query("UPDATE job_lease SET expires_at = 0").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn ask<T>(&self, sql: &'static str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Any> + sqlx::Type<sqlx::Any> + Send + Unpin,
    {
        sqlx::query_scalar(sql).fetch_one(&mut *self.shop.db.db.read().await.unwrap()).await.unwrap()
    }

    async fn becomes(&self, state: &'static str) {
        self.shop.until(state, || async { self.ask::<String>("SELECT state FROM orders").await == state }).await;
    }

    async fn refund_is_due(&self) {
        let mut tx = self.shop.db.db.write().await.unwrap();
        sqlx::query("UPDATE refund SET next_attempt_at = 0").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn audit(&self) {
        let mut command = farebox(&["audit"], self.shop.folder.path(), &[("DATABASE_URL", &self.shop.db.url)]);
        let output = tokio::task::spawn_blocking(move || command.stdout(std::process::Stdio::piped()).output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    /// What was granted for the order, and what is left of it.
    async fn credit(&self) -> (i64, i64) {
        let granted = self.ask("SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM transfer WHERE kind = 'grant'").await;
        (granted, self.ask("SELECT CAST(COALESCE(SUM(posted), 0) AS BIGINT) FROM credit").await)
    }

    async fn end(self) {
        self.audit().await;
        self.stripe.stop().await;
    }
}

/// Kills the shop at a point after the message that tells of a payment has come, and starts another.
async fn killed_at(point: &str, again: usize) {
    let scene = Scene::set(async |_, _, _| {}).await;
    let serving = scene.serve(Some(point)).await;
    let before = scene.stripe.messages().len();
    scene.stripe.pay(scene.order.checkout.as_deref().unwrap(), Card::Good).unwrap();
    let messages: Vec<Message> = scene.stripe.messages().split_off(before);
    let completed = messages.iter().find(|message| message.kind == "checkout.session.completed").unwrap();

    scene.stripe.deliver(&completed.id).await;
    assert_eq!(serving.ended().await.signal(), Some(9), "killed at {point}");
    assert_eq!(scene.ask::<String>("SELECT state FROM orders").await, "pending");
    assert_eq!(scene.ask::<i64>("SELECT COUNT(*) FROM payment_event WHERE state = 'new'").await, 1, "stored, and not handled");
    assert_eq!(scene.credit().await, (0, 0));

    scene.lose_touch_with_the_dead().await;
    let serving = scene.serve(None).await;
    for _ in 0..again {
        assert_eq!(scene.stripe.deliver(&completed.id).await, 200);
    }
    scene.becomes("paid").await;
    assert_eq!(scene.credit().await, (10_000_000_000, 10_000_000_000), "credited once");
    let waiting = "SELECT COUNT(*) FROM payment_event WHERE state = 'new'";
    scene.shop.until("every message was handled", || async { scene.ask::<i64>(waiting).await == 0 }).await;
    assert_eq!(scene.credit().await, (10_000_000_000, 10_000_000_000), "also when all that was fetched is handled");
    serving.stop().await;
    scene.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_when_a_message_is_stored_the_next_process_handles_it() {
    killed_at("message_stored", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_when_a_message_is_stored_and_sent_again_it_credits_once() {
    killed_at("message_stored", 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_what_follows_from_a_message_is_committed_it_follows_once() {
    killed_at("message_handled", 5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_books_and_the_provider_a_refund_goes_on() {
    let scene = Scene::set(async |shop, stripe, order| {
        stripe.pay(order.checkout.as_deref().unwrap(), Card::Good).unwrap();
        shop.app.payments.look(order.id).await.unwrap();
        // The credit is taken; of the provider nothing is heard.
        stripe.fail_next(&[Fault::HangUp; 4]);
        let (id, amount) = (shop.app.kit.ids.next(), Money::new(1_000, order.price.currency));
        shop.app.payments.refund(&NewRefund { id, order: order.id, amount, owed: true, reason: "asked for".into(), actor: order.user }).await.unwrap();
    })
    .await;
    assert_eq!(scene.credit().await, (10_000_000_000, 0));
    let serving = scene.serve(Some("refund_taken")).await;
    scene.refund_is_due().await;
    assert_eq!(serving.ended().await.signal(), Some(9));
    assert_eq!(scene.ask::<String>("SELECT state FROM refund").await, "sending");

    scene.lose_touch_with_the_dead().await;
    let serving = scene.serve(None).await;
    scene.refund_is_due().await;
    scene.becomes("refunded").await;
    assert_eq!(scene.credit().await, (10_000_000_000, 0));
    let made = scene.stripe.asked().into_iter().filter(|asked| asked.method == "POST" && asked.path == "refunds").collect::<Vec<_>>();
    assert!(made.iter().all(|asked| asked.idempotency_key == made[0].idempotency_key), "{made:?}");
    serving.stop().await;
    scene.end().await;
}
