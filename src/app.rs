//! App: what a handler can reach; how it starts and how it goes down.
//!
//! Start: database and migrations, a node slot, recovery of what dead nodes left, snapshots, the ledger's writer, background
//! work. Shutdown, in the opposite order: stop accepting, let streams end, settle, stop the writer, free the slot.

mod background;
mod heartbeat;
mod lock;
mod patient;
mod serve;

pub use lock::LockError;
pub use serve::Server;

use crate::accounts::{Accounts, PasswordHasher};
use crate::config::{AppSecretError, Config, PublicUrl};
use crate::db::{ConnectError, Db, migrate, node};
use crate::kernel::secrets::AppSecret;
use crate::kernel::{Clock, IdGen, Kit, Random};
use crate::ledger::{Books, LedgerError, Meter, NodeRun, Watch};
use crate::limits::Limits;
use crate::mail::{Outbox, Transport, TransportError};
use crate::payments::provider::Provider;
use crate::payments::{self, Payments};
use crate::relay::{Relay, RelayConfig, RelayParts};
use crate::usage::Journal;
use crate::{catalog, channels, keys, plans, sessions, settings};
use axum::extract::FromRef;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often a running stream's cost is written down for recovery.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);

/// What a handler can reach. Clones share everything.
#[derive(Clone)]
pub struct App(Arc<Inner>);

/// What [`App`] derefs to.
pub struct Inner {
    /// The settings from the environment.
    pub config: Config,
    /// Where customers reach the shop.
    pub public_url: PublicUrl,
    /// The database.
    pub db: Db,
    /// Clock, ids, randomness.
    pub kit: Kit,
    /// What seals credentials.
    pub secret: AppSecret,
    /// Postings outside of requests.
    pub books: Books,
    /// Keys in memory.
    pub keys: Arc<keys::Snapshot>,
    /// Models and prices in memory.
    pub catalog: Arc<catalog::Snapshot>,
    /// Channels in memory.
    pub channels: Arc<channels::Snapshot>,
    /// What runs of plans, in memory.
    pub plans: Arc<plans::Snapshot>,
    /// Which balances somebody waits for.
    pub watch: Watch,
    /// What the admin set.
    pub settings: settings::Snapshot,
    /// Limits on attempts, and on what keys and users may ask for.
    pub limits: Limits,
    /// Everything about accounts.
    pub accounts: Accounts,
    /// Orders, and what the payment provider tells about them.
    pub payments: Payments,
    /// Where sessions are kept.
    pub sessions: sessions::Store,
    /// `/v1`.
    pub relay: Relay,
    /// Mail on its way out.
    pub outbox: Outbox,
    /// The node goes down: not ready any more.
    pub draining: AtomicBool,
}

impl Deref for App {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.0
    }
}

impl FromRef<App> for Relay {
    fn from_ref(app: &App) -> Relay {
        app.relay.clone()
    }
}

/// What may differ between production and tests.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The clock.
    pub clock: Clock,
    /// Where randomness comes from.
    pub random: Random,
    /// How passwords are hashed.
    pub password_params: argon2::Params,
    /// After how long a silent node counts as dead.
    pub node_timeout: Duration,
}

impl Environment {
    /// The machine's own.
    pub fn production() -> Self {
        Self { clock: Clock::system(), random: Random::system(), password_params: PasswordHasher::params(), node_timeout: Duration::from_secs(15) }
    }
}

/// Why the shop does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No database.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The database failed.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
    /// Another process serves from the same file.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// No application secret.
    #[error(transparent)]
    Secret(#[from] AppSecretError),
    /// What a dead node left could not be settled.
    #[error("recovery failed: {0}")]
    Recovery(#[from] LedgerError),
    /// Mail cannot be set up.
    #[error(transparent)]
    Mail(#[from] TransportError),
    /// Card payments cannot be set up.
    #[error(transparent)]
    Stripe(#[from] payments::stripe::CannotStart),
    /// Redis cannot be set up.
    #[error("REDIS_URL: {0}")]
    Redis(#[from] redis::RedisError),
    /// The password parameters are out of range.
    #[error(transparent)]
    Passwords(#[from] crate::accounts::HashError),
}

/// A started shop, before it serves.
pub struct Started {
    /// What handlers reach.
    pub app: App,
    running: Running,
}

/// What must be stopped in order.
struct Running {
    node: node::Node,
    meter: Meter<Journal>,
    writer: JoinHandle<()>,
    tasks: TaskTracker,
    stop: CancellationToken,
    background: background::Background,
    _lock: Option<lock::FileLock>,
}

/// Connects to the database, brings it up to date, and takes a node slot.
///
/// # Errors
/// As [`StartError`] says.
pub async fn open_database(config: &Config, clock: &Clock, node_timeout: Duration) -> Result<(Db, node::Node), StartError> {
    let db = Db::connect_with(config.database.url.reveal(), config.database.durability).await?;
    migrate(&db).await.map_err(ConnectError::from)?;
    let node = node::claim(&db, clock, millis(node_timeout)).await?;
    Ok((db, node))
}

/// Who takes cards, when anybody does.
fn card_payments(config: &Config) -> Result<Option<Arc<dyn Provider>>, StartError> {
    let Some(stripe) = &config.stripe else { return Ok(None) };
    Ok(Some(Arc::new(payments::stripe::Stripe::new(stripe)?)))
}

/// Starts everything but the listener.
///
/// # Errors
/// As [`StartError`] says; then nothing runs.
pub async fn start(config: Config, public_url: PublicUrl, environment: Environment) -> Result<Started, StartError> {
    install_tls();
    let file_lock = lock::take(&config)?;
    let (db, node) = open_database(&config, &environment.clock, environment.node_timeout).await?;
    let ids = IdGen::new(environment.clock.clone(), node.slot, node.ids_after);
    let kit = Kit { clock: environment.clock.clone(), ids, random: environment.random.clone() };
    let secret = config.app_secret.open(&kit.random)?;
    heartbeat::recover_dead(&db, &kit, node, environment.node_timeout).await?;

    let keys = Arc::new(keys::Snapshot::load(&db).await?);
    let catalog = Arc::new(catalog::Snapshot::load(&db, &kit.clock).await?);
    let channels = Arc::new(channels::Snapshot::load(&db, &secret, &kit, config.upstream.connect).await?);
    let plans = Arc::new(plans::Snapshot::load(&db, &kit.clock).await?);
    let settings = settings::Snapshot::load(&db).await?;
    let books = Books::new(kit.clone());
    let run = NodeRun { slot: node.slot, incarnation: node.incarnation };
    let (meter, writer) = Meter::start(db.clone(), kit.clone(), run, Journal);
    let tasks = TaskTracker::new();
    let limits = match &config.redis_url {
        Some(url) => Limits::shared(kit.clock.clone(), &kit.random, url.reveal())?,
        None => Limits::in_process(kit.clock.clone()),
    };
    let parts = RelayParts {
        config: relay_config(&config, &public_url),
        kit: kit.clone(),
        db: db.clone(),
        books: books.clone(),
        meter: meter.clone(),
        keys: Arc::clone(&keys),
        catalog: Arc::clone(&catalog),
        channels: Arc::clone(&channels),
        plans: Arc::clone(&plans),
        limits: limits.clone(),
        settings: settings.clone(),
        proxies: config.trusted_proxies.clone(),
        tasks: tasks.clone(),
    };
    let passwords = PasswordHasher::new(environment.password_params, kit.random.clone())?;
    let provider = card_payments(&config)?;
    let app = App(Arc::new(Inner {
        accounts: Accounts::new(db.clone(), kit.clone(), passwords, limits.clone(), settings.clone(), public_url.as_str()),
        payments: Payments::new(db.clone(), kit.clone(), books.clone(), settings.clone(), provider, public_url.as_str()),
        sessions: sessions::Store::new(db.clone(), kit.clock.clone(), kit.random.clone()),
        relay: Relay::new(parts),
        outbox: Outbox::new(db.clone(), kit.clock.clone(), Transport::new(&config.mail)?),
        draining: AtomicBool::new(false),
        config,
        public_url,
        db,
        kit,
        secret,
        books,
        keys,
        catalog,
        channels,
        plans,
        watch: meter.watch().clone(),
        settings,
        limits,
    }));
    let stop = CancellationToken::new();
    let background = background::start(&app, node, environment.node_timeout, &stop);
    Ok(Started { app, running: Running { node, meter, writer, tasks, stop, background, _lock: file_lock } })
}

/// Everything that speaks TLS uses the same implementation; a second call changes nothing.
fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

fn relay_config(config: &Config, public_url: &PublicUrl) -> RelayConfig {
    RelayConfig {
        body_limit: config.body_limit,
        response_cache: config.response_cache,
        attempts: config.upstream.attempts,
        total_timeout: config.upstream.total,
        first_byte_timeout: config.upstream.first_byte,
        idle_timeout: config.upstream.idle,
        read_on: config.upstream.read_on,
        checkpoint_every: CHECKPOINT_EVERY,
        top_up_url: public_url.link("/account"),
        plans_url: public_url.link("/account/plan"),
    }
}

impl App {
    /// Reads every snapshot that is behind the database: what another node, or a form a moment ago, has changed.
    ///
    /// # Errors
    /// The database's; the snapshots then show what they showed.
    pub async fn refresh(&self) -> Result<(), background::NotFollowed> {
        background::refresh(self).await
    }
}

impl Running {
    /// Settles what is left and stops everything, in order.
    async fn stop(self, app: &App) {
        app.relay.hurry();
        self.tasks.close();
        if tokio::time::timeout(SETTLE_PATIENCE, self.tasks.wait()).await.is_err() {
            tracing::error!("settlements were still waiting at shutdown; recovery will finish them");
        }
        self.stop.cancel();
        self.background.ended().await;
        let (db, clock) = (app.db.clone(), app.kit.clock.clone());
        self.meter.close();
        if tokio::time::timeout(SETTLE_PATIENCE, self.writer).await.is_err() {
            tracing::error!("the ledger's writer did not end in time");
        }
        if let Err(error) = node::stop(&db, &clock, self.node.slot, self.node.incarnation).await {
            tracing::warn!(%error, "the node's slot could not be freed; it frees itself after a while");
        }
        db.close().await;
    }
}

/// How long a shutdown waits for what is left to be settled.
const SETTLE_PATIENCE: Duration = Duration::from_secs(20);

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
