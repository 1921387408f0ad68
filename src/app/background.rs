//! Work beside the requests: snapshots that follow the database, the heartbeat, periodic jobs.

use super::App;
use super::heartbeat;
use crate::accounting;
use crate::channels::Prober;
use crate::db::node::Node;
use crate::db::revision::{self, Topic};
use crate::gift_cards;
use crate::jobs::Jobs;
use crate::kernel::Days;
use crate::notices;
use crate::plans;
use crate::referrals;
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often the snapshots look for changes: a disabled key stops well within a second, on every node.
const FOLLOW_EVERY: Duration = Duration::from_millis(250);

/// How often what is committed is copied from the embedded database's log into its file.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(500);

/// How many customers whose balance has fallen are attended to at the same time: each may have to wait for the payment provider.
const WATCHED_AT_ONCE: usize = 8;

/// How often is looked for channels that may be tried again.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The running background work.
pub(super) struct Background {
    tasks: TaskTracker,
    jobs: Jobs,
}

impl Background {
    /// Waits until all of it has ended, soon after the stop.
    pub(super) async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
        self.jobs.ended().await;
    }
}

pub(super) fn start(app: &App, node: Node, node_timeout: Duration, stop: &CancellationToken) -> Background {
    let tasks = TaskTracker::new();
    tasks.spawn(heartbeat::run(app.clone(), node, node_timeout, stop.clone()));
    tasks.spawn(follow(app.clone(), stop.clone()));
    tasks.spawn(checkpoint(app.clone(), stop.clone()));
    tasks.spawn(watch_balances(app.clone(), stop.clone()));
    tasks.spawn(probe(Prober::new(Arc::clone(&app.channels)), stop.clone()));
    let jobs = Jobs::new(app.db.clone(), app.kit.clone(), stop.clone());
    schedule(app, &jobs);
    Background { tasks, jobs }
}

/// What runs now and then, on one node of the cluster each.
fn schedule(app: &App, jobs: &Jobs) {
    let send = app.clone();
    jobs.every("send-mail", Duration::from_secs(1), move || {
        let app = send.clone();
        async move { app.outbox.send_due().await.map(drop).map_err(Into::into) }
    });
    let hear = app.clone();
    jobs.every("payment-messages", Duration::from_secs(1), move || {
        let app = hear.clone();
        async move {
            app.payments.handle_due().await?;
            app.payments.tell_due().await?;
            app.payments.refund_due().await?;
            app.payments.settle_disputes().await?;
            Ok(())
        }
    });
    let look = app.clone();
    jobs.every("look-at-orders", Duration::from_secs(30), move || {
        let app = look.clone();
        async move {
            app.payments.look_at_due().await?;
            app.payments.look_at_renewals().await.map(drop).map_err(Into::into)
        }
    });
    let automatic = app.clone();
    jobs.every("automatic-top-ups", Duration::from_secs(2), move || {
        let app = automatic.clone();
        async move { app.payments.automatic_due().await.map(drop).map_err(Into::into) }
    });
    let told = app.clone();
    jobs.every("notices", Duration::from_secs(600), move || {
        let app = told.clone();
        async move { notices::tell_due(&app.db, &app.kit, &sender(&app)).await.map(drop).map_err(Into::into) }
    });
    let balances = app.clone();
    jobs.every("balances", Duration::from_secs(10), move || {
        let app = balances.clone();
        async move { app.watch.sweep(&app.db, &app.kit.clock).await.map(drop).map_err(Into::into) }
    });
    let fetch = app.clone();
    jobs.every("fetch-payment-messages", Duration::from_secs(1800), move || {
        let app = fetch.clone();
        async move { app.payments.fetch_messages().await.map(drop).map_err(Into::into) }
    });
    let fees = app.clone();
    jobs.every("read-fees", Duration::from_secs(1800), move || {
        let app = fees.clone();
        async move { app.payments.read_fees().await.map(drop).map_err(Into::into) }
    });
    let expire = app.clone();
    jobs.every("expire-credit", Duration::from_secs(60), move || {
        let app = expire.clone();
        async move { app.books.expire(&app.db).await.map(drop).map_err(Into::into) }
    });
    let cards = app.clone();
    jobs.every("gift-cards", Duration::from_secs(1), move || {
        let app = cards.clone();
        async move {
            gift_cards::make_due(&app.db, &app.kit, &app.secret).await?;
            gift_cards::erase_old(&app.db, &app.kit).await?;
            let site = app.settings.now().site_name.clone();
            gift_cards::deliver_due(&app.db, &app.kit, gift_cards::sale::Sender { site: &site, url: app.public_url.as_str() }).await?;
            Ok(())
        }
    });
    let advance = app.clone();
    jobs.every("plans", Duration::from_secs(2), move || {
        let app = advance.clone();
        async move { plans::run_due(&app.db, &app.kit, &app.books).await.map(drop).map_err(Into::into) }
    });
    let brought = app.clone();
    jobs.every("referrals", Duration::from_secs(60), move || {
        let app = brought.clone();
        async move { referrals::grant_due(&app.db, &app.kit, &app.books).await.map(drop).map_err(Into::into) }
    });
    let add_up = app.clone();
    jobs.every("add-up-days", Duration::from_secs(300), move || {
        let app = add_up.clone();
        async move {
            let days = Days::of(&app.settings.now().time_zone);
            accounting::run(&app.db, &app.kit, &days).await.map(drop).map_err(Into::into)
        }
    });
    let sweep = app.clone();
    jobs.every("sweep", Duration::from_secs(3600), move || {
        let app = sweep.clone();
        async move {
            app.sessions.sweep().await?;
            app.accounts.sweep().await?;
            app.outbox.sweep().await?;
            notices::sweep(&app.db, &app.kit).await?;
            Ok(())
        }
    });
}

/// What letters say of the shop.
fn sender(app: &App) -> notices::Sender {
    let settings = app.settings.now();
    let (site, url, zone) = (settings.site_name.clone(), app.public_url.as_str().trim_end_matches('/').to_owned(), settings.time_zone.clone());
    notices::Sender { site, url, zone }
}

/// Wakes whoever waits for a balance that has fallen or risen.
async fn watch_balances(app: App, stop: CancellationToken) {
    loop {
        let users = tokio::select! {
            () = stop.cancelled() => return,
            users = app.watch.tripped() => users,
        };
        let app = &app;
        let attend = |user| async move {
            if let Err(error) = app.payments.top_up_if_low(user).await {
                tracing::warn!(%error, %user, "credit could not be bought by itself yet");
            }
            if let Err(error) = notices::look_at(&app.db, &app.kit, &app.books, &sender(app), user).await {
                tracing::warn!(%error, %user, "a customer could not be told of a balance yet");
            }
        };
        futures_util::stream::iter(users).for_each_concurrent(WATCHED_AT_ONCE, attend).await;
    }
}

/// Tries out what this node has taken out of use.
async fn probe(prober: Prober, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = prober.run(PROBE_EVERY) => {}
    }
}

async fn checkpoint(app: App, stop: CancellationToken) {
    let mut tick = tokio::time::interval(CHECKPOINT_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        // What is not copied now will be, at the latest by the writer.
        if let Err(error) = app.db.checkpoint().await {
            tracing::debug!(%error, "the database's log could not be copied into its file");
        }
    }
}

async fn follow(app: App, stop: CancellationToken) {
    let mut tick = tokio::time::interval(FOLLOW_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {}
        }
        match refresh(&app).await {
            Ok(()) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(%error, "the snapshots cannot follow the database; the last known state is served");
            }
            Err(_) => {}
        }
    }
}

/// Which snapshots could not follow the database, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(|(what, error)| format!("{what}: {error}")).collect::<Vec<_>>().join("; "))]
pub struct NotFollowed(Vec<(&'static str, sqlx::Error)>);

/// Reads the snapshots whose topic has moved on. One that fails keeps none of the others back.
pub(super) async fn refresh(app: &App) -> Result<(), NotFollowed> {
    let revisions = async { revision::current(&mut *app.db.read().await?).await };
    let revisions = revisions.await.map_err(|error| NotFollowed(vec![("revisions", error)]))?;
    let mut failed = Vec::new();
    let mut note = |what, outcome: Result<(), sqlx::Error>| failed.extend(outcome.err().map(|error| (what, error)));
    if revisions.of(Topic::Keys) != app.keys.revision() {
        note("keys", app.keys.refresh(&app.db).await);
    }
    if revisions.of(Topic::Catalog) != app.catalog.revision() {
        note("catalog", app.catalog.refresh(&app.db).await);
    }
    if revisions.of(Topic::Channels) != app.channels.revision() {
        note("channels", app.channels.refresh(&app.db).await);
    }
    if revisions.of(Topic::Plans) != app.plans.revision() {
        note("plans", app.plans.refresh(&app.db).await);
    }
    if revisions.of(Topic::Balances) != app.watch.revision() {
        note("balances", app.watch.refresh(&app.db).await);
    }
    if revisions.of(Topic::Settings) != app.settings.revision() {
        note("settings", app.settings.refresh(&app.db).await);
    }
    if failed.is_empty() { Ok(()) } else { Err(NotFollowed(failed)) }
}
