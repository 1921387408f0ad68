//! The real server in this process, on a free port, with a database of its own and a simulated upstream.

use super::TestDb;
use farebox::accounts::{Email, Password, PasswordHasher, Role, User};
use farebox::app::{self, App, Environment, Server};
use farebox::catalog::{self, ModelDraft, ModelFields};
use farebox::channels::{self, ChannelDraft, ChannelFields};
use farebox::config::{Config, PublicUrl};
use farebox::demo::upstream::{Options, Upstream};
use farebox::i18n::Lang;
use farebox::kernel::secrets::Secret;
use farebox::kernel::{Clock, Id, NEVER, Random, Usd};
use farebox::keys::{self, KeyFields, NewKey, UserLimits};
use farebox::ledger::{self, CreditKind, EVERYTHING, Grant, House};
use farebox::{accounting, invoices, plans, usage};
use std::collections::HashMap;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;

pub const APP_SECRET: &str = "5d1f0c7b2e9a48d36f80b1c4e7a2953d6c0f8e1b4a7d2395c8e6f1a0b3d4c597";

/// A shop that serves.
pub struct TestApp {
    pub app: App,
    pub url: String,
    pub http: reqwest::Client,
    pub upstream: Upstream,
    server: Option<Server>,
    pub db: TestDb,
    pub folder: TempDir,
}

/// Somebody with a key.
pub struct Customer {
    pub user: User,
    pub key: String,
    pub key_id: Id,
}

impl TestApp {
    /// Starts one with the usual settings.
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// Starts one with some settings changed, by the names they have in the environment.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        Self::on(TestDb::new().await, settings, Clock::system()).await
    }

    /// Starts a second node of the same shop. Only a server's database takes two.
    pub async fn beside(&self) -> Self {
        Self::on(self.db.again().await, &[], Clock::system()).await
    }

    /// Starts one whose time is the test's.
    pub async fn at_time(clock: &Clock, settings: &[(&str, &str)]) -> Self {
        Self::on(TestDb::new().await, settings, clock.clone()).await
    }

    async fn on(db: TestDb, settings: &[(&str, &str)], clock: Clock) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut values: HashMap<String, String> = HashMap::from([
            ("DATABASE_URL".to_owned(), db.url.clone()),
            ("DATA_DIR".to_owned(), folder.path().display().to_string()),
            ("APP_SECRET".to_owned(), APP_SECRET.to_owned()),
            ("LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            ("DRAIN_SECONDS".to_owned(), "5".to_owned()),
            ("UPSTREAM_READ_ON_MS".to_owned(), "100".to_owned()),
        ]);
        values.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let config = Config::from_lookup(|name| values.get(name).cloned()).expect("the test's settings are valid");
        let listener = TcpListener::bind(config.listen).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let environment =
            Environment { clock, random: Random::system(), password_params: PasswordHasher::cheap_params(), node_timeout: Duration::from_secs(5) };
        let started = app::start(config, PublicUrl::of_listener(address), environment).await.expect("the shop starts");
        let server = Server::serve(started, listener).expect("the shop serves");
        let upstream = Upstream::start(Options::default()).await.expect("the upstream starts");
        let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Self { app: server.app.clone(), url: format!("http://{address}"), http, upstream, server: Some(server), db, folder }
    }

    /// The address of a path.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Puts a model on sale, dollars per million tokens.
    pub async fn sell(&self, name: &str, input: &str, output: &str) {
        let [name, enabled, input, output, cache_write] = [name, "on", input, output, input].map(str::to_owned);
        let fields = ModelFields { name, enabled, input, output, cache_write, ..ModelFields::default() };
        let draft = ModelDraft::parse(&fields).expect("a valid model");
        catalog::save(&self.app.db, &self.app.kit, None, &draft).await.expect("the model is saved");
        self.app.refresh().await.expect("the snapshots follow");
    }

    /// Adds a channel for these models, at a priority.
    pub async fn channel(&self, name: &str, base_url: &str, models: &[&str], priority: i64) -> Id {
        let fields = ChannelFields { priority: priority.to_string(), ..Self::channel_fields(name, base_url, models) };
        self.channel_as(None, &fields).await
    }

    /// The least that a channel's form needs.
    pub fn channel_fields(name: &str, base_url: &str, models: &[&str]) -> ChannelFields {
        ChannelFields {
            name: name.to_owned(),
            base_url: base_url.to_owned(),
            key: Secret::new("upstream-key-of-the-test".to_owned()),
            models: models.join("\n"),
            enabled: "on".to_owned(),
            chat: "on".to_owned(),
            ..ChannelFields::default()
        }
    }

    /// Adds a channel as a form says, or changes one.
    pub async fn channel_as(&self, id: Option<Id>, fields: &ChannelFields) -> Id {
        let draft = ChannelDraft::parse(fields, id.map(|_| channels::Private::default()).as_ref()).expect("a valid channel");
        let id = channels::save(&self.app.db, &self.app.kit, &self.app.secret, id, &draft).await.expect("the channel is saved");
        self.app.refresh().await.expect("the snapshots follow");
        id
    }

    /// Sells models through the simulated upstream at 1 dollar per million input tokens and 10 per million output tokens.
    pub async fn stock(&self, models: &[&str]) {
        for model in models {
            self.sell(model, "1", "10").await;
        }
        self.channel("upstream", &self.upstream.base_url(), models, 0).await;
    }

    /// Puts channels away, so that the next ones may have their names, and whatever went wrong with them is forgotten.
    pub async fn remove(&self, channels: &[Id]) {
        for id in channels {
            channels::delete(&self.app.db, &self.app.kit, *id).await.expect("the channel is deleted");
        }
        self.app.refresh().await.expect("the snapshots follow");
    }

    /// A verified customer with `balance` and a key.
    pub async fn customer(&self, balance: Usd) -> Customer {
        let id = self.app.kit.ids.next();
        let email = Email::parse(&format!("c{}@example.test", id.to_string().to_lowercase())).expect("an address");
        let password = Password::parse("correct horse battery").expect("a password");
        let user = self.app.accounts.enroll(&email, &password, Lang::default()).await.expect("a customer");
        if balance > Usd::ZERO {
            self.grant(user.id, balance).await;
        }
        let (key, key_id) = self.key(user.id, None).await;
        Customer { user, key, key_id }
    }

    /// Gives credit.
    pub async fn grant(&self, user: Id, amount: Usd) {
        let mut tx = self.app.db.write().await.expect("a transaction");
        let grant = Grant {
            user,
            kind: CreditKind::Gift,
            from: House::Promotion,
            amount,
            priority: 100,
            effective_at: 0,
            expires_at: NEVER,
            scope: EVERYTHING,
            reference: "test".to_owned(),
            idempotency_key: format!("test:{}", self.app.kit.ids.next()),
        };
        self.app.books.grant(&mut tx, grant).await.expect("the credit is given");
        tx.commit().await.expect("a commit");
    }

    /// Makes a key for a customer.
    pub async fn key(&self, user: Id, budget: Option<Usd>) -> (String, Id) {
        let new = NewKey { budget, ..NewKey::named("test") };
        let created = keys::create(&self.app.db, &self.app.kit, user, new).await.expect("a key");
        self.app.refresh().await.expect("the snapshots follow");
        (created.key.reveal().clone(), created.id)
    }

    /// Makes a key with options, by the names of the form's fields.
    pub async fn limited_key(&self, user: Id, fields: &[(&str, &str)]) -> String {
        let value = |name: &str| fields.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value);
        let fields = KeyFields { name: "limited", ..KeyFields::read(value) };
        let new = NewKey::parse(&fields, NEVER, self.app.kit.clock.now_ms()).expect("valid limits");
        let created = keys::create(&self.app.db, &self.app.kit, user, new).await.expect("a key");
        self.app.refresh().await.expect("the snapshots follow");
        created.key.reveal().clone()
    }

    /// Limits a user, by the names of the form's fields.
    pub async fn limit_user(&self, user: Id, fields: &[(&str, &str)]) {
        let value = |name: &str| fields.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| *value);
        let expires_at = value("expires_at").parse().unwrap_or(NEVER);
        let limits = UserLimits::parse(value, expires_at).expect("valid limits");
        let email = Email::parse(&format!("admin{}@example.test", self.app.kit.ids.next().to_string().to_lowercase())).expect("an address");
        let password = Password::parse("correct horse battery").expect("a password");
        let admin = self.app.accounts.enroll(&email, &password, Lang::default()).await.expect("somebody");
        let admin = User { role: Role::Admin, ..admin };
        self.app.accounts.set_limits(&admin, user, &limits).await.expect("the limits are set");
        self.app.refresh().await.expect("the snapshots follow");
    }

    /// What a customer can spend now.
    pub async fn available(&self, user: Id) -> Usd {
        let mut conn = self.app.db.read().await.expect("a connection");
        self.app.books.balance(&mut conn, user).await.expect("a balance").available
    }

    /// Posts to `/v1/chat/completions`.
    pub async fn chat(&self, key: &str, body: serde_json::Value) -> reqwest::Response {
        self.http.post(self.at("/v1/chat/completions")).bearer_auth(key).json(&body).send().await.expect("an answer")
    }

    /// Waits until `holds` says yes; the time-out is only there to end a test that would never end.
    pub async fn until<F>(&self, what: &str, mut holds: impl FnMut() -> F)
    where
        F: Future<Output = bool>,
    {
        let patience = Duration::from_secs(30);
        let wait = async {
            while !holds().await {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(patience, wait).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
    }

    /// The customer's usage rows, newest first.
    pub async fn requests(&self, user: Id) -> Vec<usage::RequestView> {
        let mut conn = self.app.db.read().await.expect("a connection");
        usage::recent(&mut conn, user, None, 1000).await.expect("the rows")
    }

    /// Proves the books.
    pub async fn audit(&self) {
        let mut snapshot = self.app.db.snapshot().await.expect("a snapshot");
        let report = ledger::audit_in(&mut snapshot).await.expect("the audit runs");
        assert!(report.is_clean(), "{:#?}", report.findings);
        let by_request = usage::audit(&mut snapshot).await.expect("the audit runs");
        assert!(by_request.is_empty(), "{by_request:#?}");
        let of_plans = plans::audit(&mut snapshot).await.expect("the audit runs");
        assert_eq!(of_plans, None);
        let of_figures = accounting::audit(&mut snapshot, &report).await.expect("the audit runs");
        assert!(of_figures.is_empty(), "{of_figures:#?}");
        let of_invoices = invoices::audit(&mut snapshot).await.expect("the audit runs");
        assert!(of_invoices.is_empty(), "{of_invoices:#?}");
    }

    /// Ends the test: the books must be clean, and the server must go down by itself.
    pub async fn finish(mut self) {
        self.audit().await;
        self.server.take().expect("the server runs").shutdown().await;
    }

    /// Takes the server, to shut it down in the middle of something.
    pub fn take_server(&mut self) -> Server {
        self.server.take().expect("the server runs")
    }
}
