//! Every path of the site and the API, and nothing else.

use crate::app::App;
use crate::relay::{self, Relay, billing, calls, count_tokens, models, reports, token_usage};
use crate::sessions;
use crate::web::{Parts, Site, account, admin, assets, error, headers, public, visit, webhooks};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::Response;
use axum::routing::{any, get, post};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;

/// All of it.
pub fn build(app: App) -> Router {
    Router::new().merge(health().with_state(app.clone())).merge(api().with_state(app.relay.clone())).merge(messages(&app)).merge(site(&app))
}

/// The website, with what stands around every page: compression, the session, who visits, errors as pages, security headers.
fn site(app: &App) -> Router {
    let site = Site::new(Parts {
        db: app.db.clone(),
        kit: app.kit.clone(),
        secret: app.secret.clone(),
        books: app.books.clone(),
        accounts: app.accounts.clone(),
        payments: app.payments.clone(),
        limits: app.limits.clone(),
        settings: app.settings.clone(),
        catalog: Arc::clone(&app.catalog),
        channels: Arc::clone(&app.channels),
        keys: Arc::clone(&app.keys),
        plans: Arc::clone(&app.plans),
        public_url: app.public_url.clone(),
        proxies: app.config.trusted_proxies.clone(),
    });
    let https = app.public_url.is_https();
    let pages = shop_window()
        .merge(customer_side())
        .merge(back_office())
        .fallback(public::home::not_found)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(from_fn_with_state(site.clone(), visit::greet))
        .layer(sessions::layer(app.sessions.clone(), https))
        .with_state(site);
    let files = Router::new()
        .route("/static/{*path}", get(assets::serve))
        .layer(map_response(move |response: Response| async move { headers::secure(response, https) }));
    pages.merge(files).layer(CompressionLayer::new())
}

fn shop_window() -> Router<Site> {
    use public::{home, language, log_in, password, setup, sign_up};
    Router::new()
        .route("/", get(home::show))
        .route("/sign-up", get(sign_up::show).post(sign_up::submit))
        .route("/r/{code}", get(sign_up::invited))
        .route("/verify", get(sign_up::ask).post(sign_up::verify))
        .route("/verify/resend", post(sign_up::resend))
        .route("/log-in", get(log_in::show).post(log_in::submit))
        .route("/log-out", post(log_in::leave))
        .route("/forgot", get(password::ask).post(password::send))
        .route("/reset", get(password::show).post(password::save))
        .route("/setup", get(setup::show).post(setup::submit))
        .route("/language", post(language::switch))
}

fn customer_side() -> Router<Site> {
    use account::{dashboard, gift_cards, invoices, keys, notices, orders, payment, plan, plans, referrals, requests, wallet};
    Router::new()
        .route("/account", get(dashboard::show))
        .route("/account/redeem", post(dashboard::redeem))
        .route("/account/wallet", get(wallet::show))
        .route("/account/wallet/statement.csv", get(wallet::download))
        .route("/account/gift-cards", get(gift_cards::show))
        .route("/account/gift-cards/redeem", post(gift_cards::redeem))
        .route("/account/gift-cards/{order}/send", get(gift_cards::ask_send).post(gift_cards::send))
        .route("/account/referrals", get(referrals::show).post(referrals::make))
        .route("/account/requests", get(requests::list))
        .route("/account/top-up", get(orders::top_up))
        .route("/account/orders", get(orders::list).post(orders::create))
        .route("/account/orders/{id}", get(orders::show))
        .route("/account/orders/{id}/pay", get(orders::pay))
        .route("/account/orders/{id}/cancel", post(orders::cancel))
        .route("/account/orders/{id}/confirm", get(payment::ask_confirm))
        .route("/account/orders/{id}/bank", get(payment::to_bank))
        .route("/account/notices", get(notices::show).post(notices::save))
        .route("/account/payment", get(payment::show))
        .route("/account/payment/automatic", post(payment::save))
        .route("/account/payment/automatic/off", post(payment::off))
        .route("/account/payment/forget", get(payment::ask_forget).post(payment::forget))
        .route("/account/payment/portal", get(payment::portal))
        .route("/account/invoices", get(invoices::list))
        .route("/account/invoices/{id}", get(invoices::show))
        .route("/account/invoices/{id}/pdf", get(invoices::download))
        .route("/account/billing", get(invoices::billing).post(invoices::save_billing))
        .route("/account/plans", get(plans::list))
        .route("/account/plans/{id}", get(plans::show))
        .route("/account/plan", get(plan::list))
        .route("/account/plan/{id}/cancel", get(plan::ask_cancel).post(plan::cancel))
        .route("/account/plan/{id}/resume", post(plan::resume))
        .route("/account/plan/{id}/change", get(plan::ask_change).post(plan::change))
        .route("/account/plan/{id}/keep", post(plan::keep))
        .route("/account/plan/{id}/bill", get(plan::bill))
        .route("/account/plan/{id}/pay", get(plan::ask_pay).post(plan::pay))
        .route("/account/plan/{id}/end", get(plan::ask_end).post(plan::end))
        .route("/account/keys", get(keys::list).post(keys::create))
        .route("/account/keys/{id}", get(keys::edit).post(keys::update))
        .route("/account/keys/{id}/enable", post(keys::enable))
        .route("/account/keys/{id}/disable", post(keys::disable))
        .route("/account/keys/{id}/delete", get(keys::ask_delete).post(keys::delete))
}

fn back_office() -> Router<Site> {
    use admin::{
        accounting, channels, coupons, gift_cards, invoices, models, orders, overview, payments, plans, reconciliation, referrals, requests, settings, users,
    };
    Router::new()
        .route("/admin", get(overview::show))
        .route("/admin/channels", get(channels::list))
        .route("/admin/channels/new", get(channels::blank).post(channels::create))
        .route("/admin/channels/{id}", get(channels::edit).post(channels::update))
        .route("/admin/channels/{id}/delete", get(channels::ask_delete).post(channels::delete))
        .route("/admin/models", get(models::list))
        .route("/admin/models/new", get(models::blank).post(models::create))
        .route("/admin/models/{id}", get(models::edit).post(models::update))
        .route("/admin/models/{id}/delete", get(models::ask_delete).post(models::delete))
        .route("/admin/plans", get(plans::list))
        .route("/admin/plans/new", get(plans::blank).post(plans::create))
        .route("/admin/plans/{id}", get(plans::edit).post(plans::update))
        .route("/admin/plans/{id}/off", get(plans::ask_off).post(plans::take_off))
        .route("/admin/gift-cards", get(gift_cards::list).post(gift_cards::create))
        .route("/admin/gift-cards/find", get(gift_cards::find))
        .route("/admin/gift-cards/card/{card}/void", get(gift_cards::ask_void_card).post(gift_cards::void_card))
        .route("/admin/gift-cards/{batch}", get(gift_cards::show))
        .route("/admin/gift-cards/{batch}/codes", post(gift_cards::codes))
        .route("/admin/gift-cards/{batch}/codes.csv", post(gift_cards::download))
        .route("/admin/gift-cards/{batch}/void", get(gift_cards::ask_void).post(gift_cards::void))
        .route("/admin/coupons", get(coupons::list))
        .route("/admin/coupons/new", get(coupons::blank).post(coupons::create))
        .route("/admin/coupons/{id}", get(coupons::edit).post(coupons::update))
        .route("/admin/referrals", get(referrals::list).post(referrals::save))
        .route("/admin/users", get(users::list))
        .route("/admin/users/{id}", get(users::show))
        .route("/admin/users/{id}/adjust", post(users::adjust))
        .route("/admin/users/{id}/limits", post(users::limit))
        .route("/admin/users/{id}/disable", get(users::ask_disable).post(users::disable))
        .route("/admin/users/{id}/enable", post(users::enable))
        .route("/admin/requests", get(requests::list))
        .route("/admin/requests/{id}", get(requests::show))
        .route("/admin/orders", get(orders::list))
        .route("/admin/orders/{id}", get(orders::show))
        .route("/admin/orders/{id}/refund", post(orders::refund))
        .route("/admin/orders/{id}/look", post(orders::look))
        .route("/admin/invoices", get(invoices::list))
        .route("/admin/invoices.csv", get(invoices::download_list))
        .route("/admin/invoices/terms", get(invoices::terms).post(invoices::save_terms))
        .route("/admin/invoices/{id}", get(invoices::show))
        .route("/admin/invoices/{id}/pdf", get(invoices::download))
        .route("/admin/payments", get(payments::show).post(payments::save))
        .route("/admin/accounting", get(accounting::show))
        .route("/admin/accounting/figures.csv", get(accounting::download))
        .route("/admin/reconciliation", get(reconciliation::show).post(reconciliation::fetch))
        .route("/admin/settings", get(settings::show).post(settings::save))
}

/// Where the payment provider's messages arrive: without sessions, since nobody is logged in.
fn messages(app: &App) -> Router {
    let door = webhooks::Door { payments: app.payments.clone(), tasks: app.relay.tasks.clone() };
    Router::new().route("/webhooks/stripe", post(webhooks::stripe)).with_state(door)
}

fn health() -> Router<App> {
    Router::new().route("/healthz", get(alive)).route("/api/health", get(alive)).route("/readyz", get(ready))
}

fn api() -> Router<Relay> {
    let v1 = Router::new()
        .route("/chat/completions", post(calls::chat_completions))
        .route("/responses", post(calls::responses))
        .route("/messages", post(calls::messages))
        .route("/messages/count_tokens", post(count_tokens::messages))
        .route("/completions", post(calls::completions))
        .route("/embeddings", post(calls::embeddings))
        .route("/moderations", post(calls::moderations))
        .route("/images/generations", post(calls::image_generations))
        .route("/images/edits", post(calls::image_edits))
        .route("/audio/speech", post(calls::speech))
        .route("/audio/transcriptions", post(calls::transcriptions))
        .route("/audio/translations", post(calls::translations))
        .route("/rerank", post(calls::rerank))
        .route("/models", get(models::list))
        .route("/models/{*id}", get(models::one).post(calls::gemini))
        .route("/usage", get(billing::remaining))
        .route("/dashboard/billing/subscription", get(billing::subscription))
        .route("/dashboard/billing/usage", get(billing::total_usage))
        .fallback(relay::unknown_url)
        .method_not_allowed_fallback(relay::wrong_method);
    Router::new()
        .nest("/v1", v1)
        .route("/v1/", any(relay::unknown_url))
        .route("/v1beta/models/{*rest}", get(models::gemini_one).post(calls::gemini).fallback(relay::wrong_method))
        .route("/v1beta/models", get(models::gemini_list).fallback(relay::wrong_method))
        .route("/api/usage/token", get(token_usage::show).fallback(relay::wrong_method))
        .route("/api/usage/token/", get(token_usage::show).fallback(relay::wrong_method))
        .route("/api/v1/usage/{key}", get(reports::of_key).fallback(relay::wrong_method))
        .route("/api/v1/generations/{id}", get(reports::generation).fallback(relay::wrong_method))
        .route("/dashboard/billing/subscription", get(billing::subscription))
        .route("/dashboard/billing/usage", get(billing::total_usage))
}

/// The process runs.
async fn alive() -> &'static str {
    "ok"
}

/// The node takes requests: its database answers and it is not going down.
async fn ready(State(app): State<App>) -> (StatusCode, &'static str) {
    if app.draining.load(Ordering::Acquire) {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining");
    }
    match app.db.ping().await {
        // Still ready: limits are looser, and money is where it was.
        Ok(()) if app.limits.is_alone().await => (StatusCode::OK, "ready; Redis is away and limits are counted per node"),
        Ok(()) => (StatusCode::OK, "ready"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the database is away"),
    }
}
