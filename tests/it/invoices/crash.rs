//! The process is killed between the number and the commit: the number is the next one's, and the order has its document after all.

use crate::harness::app::{APP_SECRET, TestApp};
use crate::harness::child::Serving;
use farebox::demo::stripe::{Card, Options, Post, Stripe};
use farebox::kernel::{Clock, IdGen, Kit, Random, Usd};
use farebox::payments::{NewOrder, Wish};
use std::os::unix::process::ExitStatusExt;

const SECRET: &str = "whsec_of_the_test";

/// A shop that was set up and is left to child processes.
struct Scene {
    app: TestApp,
    stripe: Stripe,
    base: String,
}

impl Scene {
    async fn serve(&self, kill_at: Option<&str>) -> Serving {
        let data = self.app.folder.path().display().to_string();
        let mut settings = vec![("DATABASE_URL", self.app.db.url.as_str()), ("DATA_DIR", &data), ("APP_SECRET", APP_SECRET), ("RUST_LOG", "info")];
        settings.extend([("STRIPE_API_BASE", self.base.as_str()), ("STRIPE_SECRET_KEY", "sk_test_of_the_test"), ("STRIPE_WEBHOOK_SECRET", SECRET)]);
        settings.extend(kill_at.map(|point| ("FAREBOX_KILL_AT", point)));
        let serving = Serving::start(self.app.folder.path(), &settings).await;
        self.stripe.send_to(&format!("{}/webhooks/stripe", serving.url), SECRET);
        serving
    }

    async fn numbers(&self) -> Vec<String> {
        let mut conn = self.app.db.db.read().await.unwrap();
        sqlx::query_scalar("SELECT number FROM invoice ORDER BY n").fetch_all(&mut *conn).await.unwrap()
    }

    async fn paid(&self) -> i64 {
        let mut conn = self.app.db.db.read().await.unwrap();
        sqlx::query_scalar("SELECT COUNT(*) FROM orders WHERE state = 'paid'").fetch_one(&mut *conn).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_the_number_and_the_commit() {
    let clock = Clock::system();
    let kit = Kit { clock: clock.clone(), ids: IdGen::new(clock.clone(), 1, 0), random: Random::seeded(7) };
    let stripe = Stripe::start(Options::new(&kit, "sk_test_of_the_test")).await.unwrap();
    stripe.post(Post { held: true, ..Post::default() });
    let base = stripe.base_url();
    let settings = [("STRIPE_API_BASE", base.as_str()), ("STRIPE_SECRET_KEY", "sk_test_of_the_test"), ("STRIPE_WEBHOOK_SECRET", SECRET)];
    let mut app = TestApp::with(&settings).await;
    let mut checkouts = Vec::new();
    for _ in 0..3 {
        let user = app.customer(Usd::ZERO).await.user.id;
        let method = app.app.payments.by_card().unwrap();
        let (title, language, coupon) = ("Credit".to_owned(), "en".to_owned(), String::new());
        let order = app.app.payments.order(&NewOrder { user, wish: Wish::TopUp(Usd::dollars(10)), title, language, method, coupon }).await.unwrap();
        app.app.payments.pay_page(&order).await.unwrap();
        checkouts.push(app.app.payments.find(order.id).await.unwrap().checkout.unwrap());
    }
    app.take_server().shutdown().await; // closes this process's database
    let scene = Scene { app, stripe, base };

    let serving = scene.serve(Some("invoice_numbered:2")).await;
    for (at, checkout) in checkouts.iter().enumerate().take(2) {
        scene.stripe.pay(checkout, Card::Good).unwrap();
        for message in scene.stripe.untaken() {
            scene.stripe.deliver(&message.id).await;
        }
        if at == 0 {
            scene.app.until("the first order is paid", || async { scene.paid().await == 1 }).await;
        }
    }
    assert_eq!(serving.ended().await.signal(), Some(9));
    assert_eq!((scene.numbers().await, scene.paid().await), (vec!["R-000001".to_owned()], 1), "what was not committed did not happen");

    let mut tx = scene.app.db.db.write().await.unwrap();
    // So that the test need not wait for what the dead held.
    sqlx::query("UPDATE node SET heartbeat_at = 0 WHERE stopped_at IS NULL").execute(&mut *tx).await.unwrap();
    sqlx::query("UPDATE job_lease SET expires_at = 0").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let serving = scene.serve(None).await;
    scene.stripe.pay(&checkouts[2], Card::Good).unwrap();
    for message in scene.stripe.untaken() {
        scene.stripe.deliver(&message.id).await;
    }
    scene.app.until("every order is paid", || async { scene.paid().await == 3 }).await;
    assert_eq!(scene.numbers().await, ["R-000001", "R-000002", "R-000003"]);
    serving.stop().await;
    scene.stripe.stop().await;
}
