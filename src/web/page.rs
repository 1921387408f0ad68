//! What every template knows: the language, the visitor, the shop's name, the token of its forms, what happened last.

use super::ui::{Icon, Token, When};
use super::visit::Visit;
use super::{Site, assets, format};
use crate::accounts::{Role, User};
use crate::channels::health::Fault;
use crate::channels::{ChannelView, HealthView, Kind, Standing, Verdict};
use crate::i18n::Lang;
use crate::kernel::clock::DAY_MS;
use crate::kernel::{NEVER, Usd};
use crate::keys::Allowance;
use crate::ledger::CreditKind;
use crate::ledger::store::TransferRow;
use crate::payments::provider::{DisputeState, SavedCard};
use crate::payments::store::RefundRow;
use crate::payments::{State as OrderState, What};
use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;
use std::fmt::Display;

/// Light, dark, or as the system says. The switch in `app.js` keeps it in a cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Theme {
    /// As the visitor's system is set.
    #[default]
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

impl Theme {
    /// From the cookie. Anything unknown is the system's choice.
    pub fn parse(text: &str) -> Self {
        match text {
            "light" => Theme::Light,
            "dark" => Theme::Dark,
            _ => Theme::System,
        }
    }

    /// The class of `<html>`.
    pub fn class(self) -> &'static str {
        match self {
            Theme::System => "",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }
}

/// Who looks at the page.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Their address.
    pub email: String,
    /// May see the back office.
    pub admin: bool,
    /// Has followed the mailed link.
    pub verified: bool,
    /// What the side bar shows; read only for pages that have one.
    pub balance: Option<Usd>,
}

impl Visitor {
    /// What a page shows of somebody; the balance is read only where it is shown.
    pub fn of(user: &User) -> Self {
        Self { email: user.email.clone(), admin: user.is_admin(), verified: user.verified_at.is_some(), balance: None }
    }
}

/// How a flash message looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Tone {
    /// It worked.
    Good,
    /// It did not.
    Bad,
}

/// A message about what the visitor just did, shown once.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Flash {
    /// Good or bad news.
    pub tone: Tone,
    /// The words, in the visitor's language.
    pub text: String,
}

/// A time as templates hand it over: by value or by reference, perhaps absent.
pub trait Moment {
    /// Unix milliseconds.
    fn unix_ms(self) -> Option<i64>;
}

impl Moment for i64 {
    fn unix_ms(self) -> Option<i64> {
        Some(self)
    }
}

impl Moment for &i64 {
    fn unix_ms(self) -> Option<i64> {
        Some(*self)
    }
}

impl Moment for &Option<i64> {
    fn unix_ms(self) -> Option<i64> {
        *self
    }
}

/// What every template knows.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The language of every string.
    pub lang: Lang,
    /// Light or dark.
    pub theme: Theme,
    /// The shop's name.
    pub site: String,
    /// Where the shop stands, without a slash at the end: for snippets to copy.
    pub base_url: String,
    /// The token that every form carries.
    pub csrf: String,
    /// The path and query of this page: where the language switch returns to.
    pub here: String,
    /// Who looks, when logged in.
    pub visitor: Option<Visitor>,
    /// What happened last.
    pub flashes: Vec<Flash>,
}

impl Page {
    /// The text of `key` in the page's language.
    pub fn t(&self, key: &str) -> Cow<'static, str> {
        Cow::Owned(self.lang.t(key).into_owned())
    }

    /// The text of `key` with one `%{name}` replaced.
    pub fn with(&self, key: &str, name: &str, value: impl Display) -> String {
        self.lang.with(key, &[(name, &value.to_string())])
    }

    /// The text of `key` with two `%{name}`s replaced.
    pub fn with2(&self, key: &str, a: &str, x: impl Display, b: &str, y: impl Display) -> String {
        self.lang.with(key, &[(a, &x.to_string()), (b, &y.to_string())])
    }

    /// The address of an embedded file.
    pub fn asset(&self, path: &str) -> String {
        assets::url(path)
    }

    /// The hidden field with which a form proves that it came from this page.
    pub fn token(&self) -> Token {
        Token(self.csrf.clone())
    }

    /// A small drawing from the set in `ui`.
    pub fn icon(&self, name: &'static str) -> Icon {
        Icon(name)
    }

    /// A moment, which the browser turns into the visitor's zone. `None` and never have a word of their own.
    pub fn when(&self, ms: impl Moment) -> When {
        match ms.unix_ms() {
            None => When::Word(self.t("common.not_yet").into_owned()),
            Some(NEVER) => When::Word(self.t("common.never").into_owned()),
            Some(ms) => When::Moment(ms),
        }
    }

    /// A number with separated thousands.
    pub fn count(&self, n: &i64) -> String {
        format::count(*n)
    }

    /// Milliseconds, for people.
    pub fn duration(&self, ms: &i64) -> String {
        format::duration(*ms)
    }

    /// Whether the link to `path` leads to where the visitor already is; a section's link stays lit on the pages under it.
    pub fn at(&self, path: &str) -> bool {
        let here = self.here.split('?').next().unwrap_or_default();
        let section = !matches!(path, "/account" | "/admin" | "/");
        here == path || (section && here.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// How long a key or a card may live: days, and what the choice says. Days rather than a date, whose end depends on a time zone.
const LIFETIMES: [(&str, &str); 5] =
    [("", "lifetime.never"), ("7", "lifetime.week"), ("30", "lifetime.month"), ("90", "lifetime.quarter"), ("365", "lifetime.year")];

/// The choice that leaves an expiry as it is.
pub const KEEP: &str = "keep";

/// The moment at which a choice of [`Page::lifetimes`] ends. `None` for what is no choice.
pub fn lifetime_end(choice: &str, now_ms: i64) -> Option<i64> {
    let (days, _) = LIFETIMES.iter().find(|(days, _)| *days == choice)?;
    if days.is_empty() { Some(NEVER) } else { days.parse::<i64>().ok().map(|days| now_ms + days * DAY_MS) }
}

/// What the words of the database are called: each page asks for them through the page context.
impl Page {
    /// The choices of a lifetime field.
    pub fn lifetimes(&self) -> Vec<(&'static str, String)> {
        LIFETIMES.iter().map(|&(days, key)| (days, self.t(key).into_owned())).collect()
    }

    /// The choices for the lifetime of what has one already.
    pub fn lifetimes_or_keep(&self) -> Vec<(&'static str, String)> {
        std::iter::once((KEEP, self.t("lifetime.keep").into_owned())).chain(self.lifetimes()).collect()
    }

    /// The shop's default limits, as far as there are any: what each is called, and how much it is.
    pub fn limits(&self, allowance: &Allowance) -> Vec<(String, String)> {
        let names = ["limit.rpm", "limit.tpm", "limit.rpd", "limit.concurrency", "limit.budget", "limit.budget_day", "limit.budget_week", "limit.budget_month"];
        let values = allowance.fields().into_iter().map(|(_, value)| value);
        let all = names.iter().zip(values).filter(|(_, value)| !value.is_empty());
        all.map(|(key, value)| (self.with("limit.default", "name", self.t(key)), value)).collect()
    }

    /// What a list of models means.
    pub fn model_rules(&self) -> Vec<(&'static str, String)> {
        [("allow", "key.models_allow"), ("deny", "key.models_deny")].map(|(rule, key)| (rule, self.t(key).into_owned())).into()
    }

    /// The tone and the words for how a request ended.
    pub fn outcome(&self, word: &str) -> (&'static str, Cow<'static, str>) {
        let (tone, key) = match word {
            "complete" => ("good", "request.complete"),
            "cached" => ("good", "request.cached_answer"),
            "client_gone" => ("", "request.client_gone"),
            "refused" => ("warn", "request.refused"),
            "recovered" => ("warn", "request.recovered"),
            _ => ("bad", "request.failed"),
        };
        (tone, self.t(key))
    }

    /// What kind of credit it is.
    pub fn credit_kind(&self, kind: &CreditKind) -> Cow<'static, str> {
        self.t(match kind {
            CreditKind::Gift => "credit.gift",
            CreditKind::Plan => "credit.plan",
            CreditKind::Paid => "credit.paid",
        })
    }

    /// What somebody may do, in a word.
    pub fn role(&self, role: &Role) -> Cow<'static, str> {
        self.t(match role {
            Role::Owner => "user.owner",
            Role::Admin => "user.admin",
            Role::Customer => "user.customer",
        })
    }

    /// Why money moved.
    pub fn transfer_kind(&self, word: &str) -> Cow<'static, str> {
        self.t(match word {
            "grant" => "transfer.grant",
            "capture" | "overage" | "overdraft" => "transfer.charge",
            "absorbed" => "transfer.absorbed",
            "correction" => "transfer.correction",
            "debt" => "transfer.debt",
            "expiry" => "transfer.expiry",
            "purchase" => "transfer.purchase",
            "sale" => "transfer.sale",
            "recognised" => "transfer.recognised",
            "ended" => "transfer.ended",
            "refund" => "transfer.refund",
            "chargeback" => "transfer.chargeback",
            "fee" => "transfer.fee",
            _ => "transfer.adjustment",
        })
    }

    /// What an order is for.
    pub fn order_what(&self, what: &What) -> Cow<'static, str> {
        self.t(match what {
            What::TopUp => "order.top_up",
            What::Plan(_) => "order.plan",
            What::GiftCard => "order.gift_card",
        })
    }

    /// The tone and the words for how an order stands.
    pub fn order_state(&self, state: &OrderState) -> (&'static str, Cow<'static, str>) {
        let (tone, key) = match state {
            OrderState::Pending => ("", "order.pending"),
            OrderState::Paid => ("good", "order.paid"),
            OrderState::Expired => ("", "order.expired"),
            OrderState::Failed => ("bad", "order.failed"),
            OrderState::Refunded => ("warn", "order.all_refunded"),
            OrderState::PartlyRefunded => ("warn", "order.partly_refunded"),
            OrderState::Disputed => ("bad", "order.disputed"),
        };
        (tone, self.t(key))
    }

    /// A saved card, for people: its brand and its last digits.
    pub fn card_name(&self, card: &SavedCard) -> String {
        let brand: String = card.brand.chars().take(1).flat_map(char::to_uppercase).chain(card.brand.chars().skip(1)).collect();
        if card.last4.is_empty() { brand } else { format!("{brand} •••• {}", card.last4) }
    }

    /// The states of orders, for a filter.
    pub fn order_states(&self) -> Vec<(&'static str, String)> {
        let states = OrderState::ALL.iter().map(|state| (state.word(), self.order_state(state).1.into_owned()));
        std::iter::once(("", self.t("order.all_states").into_owned())).chain(states).collect()
    }

    /// What may become of what was spent of a refund.
    pub fn refund_choices(&self) -> Vec<(&'static str, String)> {
        [("owed", "payback.spent_owed"), ("lost", "payback.spent_lost")].map(|(word, key)| (word, self.t(key).into_owned())).into()
    }

    /// The tone and the words for how a refund stands.
    pub fn refund_state(&self, refund: &RefundRow) -> (&'static str, Cow<'static, str>) {
        let (tone, key) = match refund.state.as_str() {
            "taking" => ("", "payback.taking"),
            "sending" => ("", "payback.sending"),
            "done" => ("good", "payback.done"),
            _ => ("bad", "payback.failed"),
        };
        (tone, self.t(key))
    }

    /// The tone and the words for how a dispute stands.
    pub fn dispute_state(&self, state: &DisputeState) -> (&'static str, Cow<'static, str>) {
        let (tone, key) = match state {
            DisputeState::Inquiry => ("warn", "dispute.inquiry"),
            DisputeState::Open => ("bad", "dispute.open"),
            DisputeState::Won => ("good", "dispute.won"),
            DisputeState::Lost => ("bad", "dispute.lost"),
        };
        (tone, self.t(key))
    }

    /// The tone and the words for what became of a message.
    pub fn message_state(&self, word: &str) -> (&'static str, Cow<'static, str>) {
        let (tone, key) = match word {
            "new" => ("", "hook.new"),
            "done" => ("good", "hook.done"),
            "ignored" => ("", "hook.ignored"),
            _ => ("bad", "hook.refused"),
        };
        (tone, self.t(key))
    }

    /// What a movement gave the customer, or took with a minus.
    pub fn movement(&self, row: &TransferRow) -> String {
        // Accounts of the house have numbers under 1000: what leaves one of them reaches the customer.
        let taken = row.debit >= 1000;
        if taken { (-row.amount).display() } else { row.amount.display() }
    }

    /// What an admin needs to know about a channel's stored keys.
    pub fn key_help(&self, channel: &ChannelView) -> String {
        let tails: Vec<&str> = channel.key_tails.iter().flatten().map(String::as_str).collect();
        match (tails.as_slice(), channel.key_tails.len()) {
            ([tail], 1) => self.with("channel.key_kept_tail", "tail", tail),
            (tails, n @ 2..) => self.with("channel.keys_kept", "n", n) + " " + &tails.iter().map(|tail| format!("…{tail}")).collect::<Vec<_>>().join(" "),
            _ => self.t("channel.key_kept").into_owned(),
        }
    }

    /// The kinds of API that a channel can have, for a form.
    pub fn channel_kinds(&self) -> Vec<(&'static str, String)> {
        Kind::ALL.into_iter().map(|kind| (kind.word(), self.channel_kind(&kind))).collect()
    }

    /// The words for a kind of API.
    pub fn channel_kind(&self, kind: &Kind) -> String {
        let key = match kind {
            Kind::OpenAi => "channel.kind_openai",
            Kind::Anthropic => "channel.kind_anthropic",
            Kind::Gemini => "channel.kind_gemini",
            Kind::AzureOpenAi => "channel.kind_azure",
        };
        self.t(key).into_owned()
    }

    /// The word for how a channel or a key of it stands, and the tone in which it is said.
    pub fn standing(&self, standing: &Standing) -> (&'static str, String) {
        let (tone, key) = match standing {
            Standing::Healthy => ("good", "common.on"),
            Standing::Degraded => ("warn", "channel.degraded"),
            Standing::HalfOpen => ("warn", "channel.half_open"),
            Standing::Open => ("bad", "channel.open"),
        };
        (tone, self.t(key).into_owned())
    }

    /// The keys of a channel that something is wrong with: their numbers as people count, and how they stand.
    pub fn keys_out(&self, health: &HealthView) -> Vec<(usize, String)> {
        let bad = health.keys.iter().enumerate().filter(|(_, standing)| **standing > Standing::Healthy);
        bad.map(|(at, standing)| (at + 1, self.standing(standing).1)).collect()
    }

    /// What went wrong with a channel.
    pub fn fault(&self, fault: &Fault) -> String {
        match fault.verdict {
            Verdict::Status(status) => self.with("channel.fault_status", "status", status),
            Verdict::Timeout | Verdict::TimeUp => self.t("channel.fault_timeout").into_owned(),
            Verdict::Connect => self.t("channel.fault_connect").into_owned(),
            Verdict::Broken | Verdict::Ok => self.t("channel.fault_broken").into_owned(),
        }
    }

    /// Whether the visitor has followed the mailed link.
    pub fn is_verified(&self) -> bool {
        self.visitor.as_ref().is_some_and(|visitor| visitor.verified)
    }
}

/// The context of a page, without what its session has: the token of its forms, what happened last.
pub fn context(site: &Site, visit: &Visit) -> Page {
    Page {
        lang: visit.lang,
        theme: visit.theme,
        site: site.settings.now().site_name.clone(),
        base_url: site.public_url.as_str().to_owned(),
        here: visit.here.clone(),
        visitor: visit.user.as_ref().map(Visitor::of),
        ..Page::default()
    }
}

/// A template as an answer.
pub fn render(template: &impl Template) -> Response {
    render_as(StatusCode::OK, template)
}

/// A template as an answer with a status: 422 for a form that was filled in wrongly.
pub fn render_as(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a template failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
