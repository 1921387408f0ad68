//! The demo: a whole shop with nothing but this binary. [`upstream`] plays the AI provider that the shop resells, on a port of its
//! own and in real HTTP, so that nothing in the shop can tell it from a paid one; the tests drive it for the same reason.
//!
//! [`stripe`] plays the payment provider in the same way, with pages on which a browser pays by cards that are none.
//!
//! [`furnish`] fills an empty shop through the same features that its admin would use.

mod offers;
pub mod stripe;
pub mod upstream;

use crate::accounts::{Email, Password};
use crate::app::App;
use crate::catalog;
use crate::channels;
use crate::config::StripeConfig;
use crate::gift_cards::{self, NewBatch};
use crate::i18n::Lang;
use crate::invoices::{self, Called, Party, Terms, TermsDraft};
use crate::kernel::secrets::{self, Secret};
use crate::kernel::{Clock, FieldError, Id, NEVER, Random, Usd};
use crate::keys::{self, NewKey};
use crate::ledger::{CreditKind, EVERYTHING, Grant, House};
use crate::payments::stripe::has_certificates;
use crate::plans;
use anyhow::anyhow;
use std::net::{Ipv4Addr, SocketAddr};
use stripe::Stripe;
use upstream::{Options, Pace, Upstream};

/// Somebody who can log in.
#[derive(Debug)]
pub struct Login {
    /// The address.
    pub email: String,
    /// The password, made for this demo.
    pub password: Secret<String>,
}

/// What a visitor of the demo needs.
#[derive(Debug)]
pub struct Furnished {
    /// Runs the shop.
    pub owner: Login,
    /// Has a balance and a key.
    pub customer: Login,
    /// The customer's key.
    pub key: Secret<String>,
    /// Cards that nobody has redeemed.
    pub gift_cards: Vec<Secret<String>>,
    /// A model to begin with.
    pub model: &'static str,
}

/// The key that the shop sends to the simulated provider.
pub const UPSTREAM_KEY: &str = "upstream-demo-key";
/// The key that the shop sends to the simulated Stripe, and what its messages are signed with.
pub const STRIPE_KEY: &str = "sk_test_farebox_demo";
const STRIPE_SECRET: &str = "whsec_farebox_demo";
/// How many requests the simulated provider remembers: a demo may run for days.
const DEMO_MEMORY: usize = 100;
/// What the demo's customer begins with.
const OPENING_CREDIT: Usd = Usd::dollars(5);
const GIFT_CARDS: i64 = 3;
const GIFT_CARD: Usd = Usd::dollars(10);

/// Starts the simulated provider, as strict as the real ones.
///
/// # Errors
/// When no port can be opened.
pub async fn start_upstream(pace: Pace) -> anyhow::Result<Upstream> {
    let upstream = Upstream::start(Options { key: Some(UPSTREAM_KEY.to_owned()), pace, remember: DEMO_MEMORY, ..Options::default() }).await?;
    upstream.behave("strict")?;
    Ok(upstream)
}

/// Starts the simulated Stripe.
///
/// # Errors
/// When no port can be opened.
pub async fn start_stripe() -> anyhow::Result<Stripe> {
    let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let options = stripe::Options { listen, secret_key: STRIPE_KEY.to_owned(), clock: Clock::system(), random: Random::system() };
    Ok(Stripe::start(options).await?)
}

/// The settings of a shop whose cards are charged by the simulated Stripe. None on a machine on which the client cannot be made.
pub fn card_payments(stripe: &Stripe) -> Option<StripeConfig> {
    let secret = |text: &str| Secret::new(text.to_owned());
    let config = StripeConfig { secret_key: secret(STRIPE_KEY), webhook_secret: Some(secret(STRIPE_SECRET)), api_base: Some(stripe.base_url()) };
    has_certificates().then_some(config)
}

/// Tells the simulated Stripe where the shop is that its messages go to.
pub fn connect_stripe(stripe: &Stripe, shop: &str) {
    stripe.send_to(&format!("{shop}/webhooks/stripe"), STRIPE_SECRET);
}

/// Fills an empty shop: an owner, a customer with credit and a key, models with prices, a channel of each kind, plans, gift cards, a seller for its invoices.
///
/// # Errors
/// Whatever a feature refuses; nothing should on an empty shop.
pub async fn furnish(app: &App, upstream: &Upstream) -> anyhow::Result<Furnished> {
    let owner = login(&app.kit.random, "owner@demo.example");
    let customer = login(&app.kit.random, "customer@demo.example");
    let admin = app.accounts.create_owner(&email(&owner)?, &password(&owner)?, Lang::default(), false).await?;
    let buyer = app.accounts.enroll(&email(&customer)?, &password(&customer)?, Lang::default()).await?;
    stock_models(app).await?;
    open_channels(app, upstream).await?;
    offer_plans(app, admin.id).await?;
    name_the_seller(app, admin.id).await?;
    let gift_cards =
        gift_cards::create_batch(&app.db, &app.kit, &app.secret, admin.id, NewBatch { note: "Demo".to_owned(), ..NewBatch::of(GIFT_CARD, GIFT_CARDS) })
            .await?
            .codes;
    give_credit(app, buyer.id).await?;
    let key = keys::create(&app.db, &app.kit, buyer.id, NewKey::named("Demo")).await?.key;
    app.refresh().await?;
    Ok(Furnished { owner, customer, key, gift_cards, model: offers::FIRST })
}

fn login(random: &Random, email: &str) -> Login {
    let password = secrets::token(random).chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    Login { email: email.to_owned(), password: Secret::new(password) }
}

fn email(login: &Login) -> anyhow::Result<Email> {
    Ok(Email::parse(&login.email)?)
}

fn password(login: &Login) -> anyhow::Result<Password> {
    Ok(Password::parse(login.password.reveal())?)
}

async fn stock_models(app: &App) -> anyhow::Result<()> {
    for draft in offers::model_drafts() {
        catalog::save(&app.db, &app.kit, None, &draft.map_err(mistakes)?).await?;
    }
    Ok(())
}

async fn open_channels(app: &App, upstream: &Upstream) -> anyhow::Result<()> {
    for draft in offers::channel_drafts(&upstream.base_url(), UPSTREAM_KEY) {
        channels::save(&app.db, &app.kit, &app.secret, None, &draft.map_err(mistakes)?).await?;
    }
    Ok(())
}

async fn offer_plans(app: &App, owner: Id) -> anyhow::Result<()> {
    for draft in offers::plan_drafts() {
        plans::save(&app.db, &app.kit, owner, None, &draft.map_err(mistakes)?).await?;
    }
    Ok(())
}

/// Who stands on the demo's invoices.
async fn name_the_seller(app: &App, owner: Id) -> anyhow::Result<()> {
    let seller = Party { name: "Farebox Demo".to_owned(), address: "1 Loopback Lane\n127001 Localhost".to_owned(), ..Party::default() };
    let terms = Terms { called: Called::Invoice, seller, footer: "Nothing on this document was really bought.".to_owned(), ..Terms::default() };
    let draft = TermsDraft { terms, ..invoices::terms(&mut *app.db.read().await?).await? };
    let mut tx = app.db.write().await?;
    invoices::set_terms(&mut tx, &app.kit, owner, &draft).await?;
    tx.commit().await?;
    Ok(())
}

async fn give_credit(app: &App, user: Id) -> anyhow::Result<()> {
    let grant = Grant {
        user,
        kind: CreditKind::Gift,
        from: House::Promotion,
        amount: OPENING_CREDIT,
        priority: 100,
        effective_at: app.kit.clock.now_ms(),
        expires_at: NEVER,
        scope: EVERYTHING,
        reference: "demo".to_owned(),
        idempotency_key: format!("demo:{user}"),
    };
    let mut tx = app.db.write().await?;
    app.books.grant(&mut tx, grant).await?;
    tx.commit().await?;
    Ok(())
}

fn mistakes(errors: Vec<FieldError>) -> anyhow::Error {
    anyhow!("the demo's own data has mistakes: {errors:?}")
}
