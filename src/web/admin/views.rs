//! The pages of the back office as templates know them.

use crate::accounts::User;
use crate::catalog::Model;
use crate::channels::{ChannelView, HealthView};
use crate::coupons::{CouponView, UseView};
use crate::gift_cards::{BatchView, CardView};
use crate::invoices::{Listed as Document, Sheet};
use crate::kernel::secrets::Secret;
use crate::kernel::{Id, Prices, Usd};
use crate::keys::Allowance;
use crate::ledger::Balance;
use crate::ledger::store::TransferRow;
use crate::payments::store::EventView;
use crate::payments::{History, Order};
use crate::plans::{Plan, State, Visibility};
use crate::referrals::Referral;
use crate::usage::{Listed, RequestRow};
use crate::web::account::views::MyPlan;
use crate::web::ui::Question;
use crate::web::{Form, Page};
use askama::Template;

/// `/admin`
#[derive(Template)]
#[template(path = "admin/overview.html")]
pub struct Overview {
    /// What every template knows.
    pub page: Page,
    /// Charged since midnight, UTC.
    pub revenue: Usd,
    /// Relayed since midnight, UTC.
    pub requests: i64,
    /// How many people have an account.
    pub users: i64,
    /// How many channels there are.
    pub channels: usize,
    /// How many models there are.
    pub models: usize,
}

/// A channel in the list, and how it has been doing on this node.
#[derive(Clone, Debug)]
pub struct ChannelRow {
    /// What is stored.
    pub channel: ChannelView,
    /// None for a channel that is not in use.
    pub health: Option<HealthView>,
}

/// `/admin/orders`
#[derive(Template)]
#[template(path = "admin/orders.html")]
pub struct AdminOrders {
    /// What every template knows.
    pub page: Page,
    /// One page of them, with their customers' addresses.
    pub orders: Vec<(Order, String)>,
    /// The link to the next page.
    pub older: Option<String>,
    /// The filter.
    pub form: Form,
}

/// `/admin/orders/{id}`
#[derive(Template)]
#[template(path = "admin/order.html")]
pub struct AdminOrder {
    /// What every template knows.
    pub page: Page,
    /// The order.
    pub order: Order,
    /// Its customer's address.
    pub email: String,
    /// What happened to it.
    pub history: History,
    /// Its documents.
    pub documents: Vec<Document>,
    /// The refund's.
    pub form: Form,
}

/// `/admin/invoices`
#[derive(Template)]
#[template(path = "admin/invoices.html")]
pub struct AdminInvoices {
    /// What every template knows.
    pub page: Page,
    /// One page of them.
    pub documents: Vec<Document>,
    /// The search.
    pub form: Form,
    /// The next page.
    pub older: Option<String>,
    /// All that was found, as a file.
    pub file: String,
    /// Whether this admin may say what stands on them.
    pub may_set: bool,
}

/// `/admin/invoices/{id}`
#[derive(Template)]
#[template(path = "admin/invoice.html")]
pub struct AdminInvoice {
    /// What every template knows.
    pub page: Page,
    /// The document.
    pub id: Id,
    /// Whose it is.
    pub customer: Id,
    /// Of which order.
    pub order: Id,
    /// Its words.
    pub sheet: Sheet,
}

/// `/admin/invoices/terms`
#[derive(Template)]
#[template(path = "admin/invoice_terms.html")]
pub struct InvoiceTerms {
    /// What every template knows.
    pub page: Page,
    /// Its fields.
    pub form: Form,
}

/// `/admin/payments`
#[derive(Template)]
#[template(path = "admin/payments.html")]
pub struct Payments {
    /// What every template knows.
    pub page: Page,
    /// How credit is sold.
    pub form: Form,
    /// Whether cards are taken at all.
    pub takes_cards: bool,
    /// Where the provider sends its messages.
    pub hook: String,
    /// Messages that somebody must look at.
    pub messages: Vec<EventView>,
    /// Where the next page of them begins.
    pub older: Option<Id>,
}

/// `/admin/channels`
#[derive(Template)]
#[template(path = "admin/channels.html")]
pub struct Channels {
    /// What every template knows.
    pub page: Page,
    /// All of them.
    pub channels: Vec<ChannelRow>,
}

/// `/admin/channels/new` and `/admin/channels/{id}`
#[derive(Template)]
#[template(path = "admin/channel.html")]
pub struct Channel {
    /// What every template knows.
    pub page: Page,
    /// The one that is edited; none for a new one.
    pub row: Option<ChannelRow>,
    /// Its fields.
    pub form: Form,
}

impl Channel {
    /// Whether a group of options is shown unfolded: something in it is set, or wrong.
    pub fn unfolds(&self, fields: &[&str]) -> bool {
        fields.iter().any(|field| self.form.ticked(field) || self.form.errors().iter().any(|(wrong, _)| wrong == field))
    }
}

/// A model in the list.
#[derive(Clone, Debug)]
pub struct ModelRow {
    /// Its row.
    pub id: Id,
    /// What a request calls it.
    pub name: String,
    /// Switched on.
    pub enabled: bool,
    /// What it costs now.
    pub prices: Option<Prices>,
}

impl ModelRow {
    /// The model as it is at a moment.
    pub fn at(model: &Model, now_ms: i64) -> Self {
        Self { id: model.id, name: model.name.clone(), enabled: model.enabled, prices: model.prices_at(now_ms) }
    }
}

/// `/admin/models`
#[derive(Template)]
#[template(path = "admin/models.html")]
pub struct Models {
    /// What every template knows.
    pub page: Page,
    /// All of them.
    pub models: Vec<ModelRow>,
}

/// `/admin/models/new` and `/admin/models/{id}`
#[derive(Template)]
#[template(path = "admin/model.html")]
pub struct EditModel {
    /// What every template knows.
    pub page: Page,
    /// The one that is edited; none for a new one.
    pub model: Option<ModelRow>,
    /// Its fields.
    pub form: Form,
}

/// `/admin/plans`
#[derive(Template)]
#[template(path = "admin/plans.html")]
pub struct Plans {
    /// What every template knows.
    pub page: Page,
    /// One page of them.
    pub plans: Vec<Plan>,
    /// The filter.
    pub form: Form,
    /// The next page.
    pub further: Option<String>,
}

/// `/admin/plans/new` and `/admin/plans/{id}`
#[derive(Template)]
#[template(path = "admin/plan.html")]
pub struct EditPlan {
    /// What every template knows.
    pub page: Page,
    /// The one that is edited; none for a new one.
    pub plan: Option<Plan>,
    /// Its fields.
    pub form: Form,
}

/// `/admin/gift-cards`
#[derive(Template)]
#[template(path = "admin/gift_cards.html")]
pub struct GiftCards {
    /// What every template knows.
    pub page: Page,
    /// One page of batches.
    pub batches: Vec<BatchView>,
    /// The next page.
    pub older: Option<String>,
    /// The form for a new batch.
    pub form: Form,
    /// Which batches are shown.
    pub filter: Form,
    /// What a card may give, by the value of its choice.
    pub plans: Vec<(String, String)>,
}

/// `/admin/gift-cards/find`
#[derive(Template)]
#[template(path = "admin/gift_cards_found.html")]
pub struct FoundCards {
    /// What every template knows.
    pub page: Page,
    /// One page of what was found.
    pub cards: Vec<CardView>,
    /// The search.
    pub form: Form,
    /// The next page.
    pub older: Option<String>,
    /// What counts as expired.
    pub now: i64,
}

/// The answer to a new batch: its codes, shown this once.
#[derive(Template)]
#[template(path = "admin/gift_card_codes.html")]
pub struct Codes {
    /// What every template knows.
    pub page: Page,
    /// The batch.
    pub batch: Id,
    /// Its codes.
    pub codes: Vec<Secret<String>>,
}

/// `/admin/gift-cards/{batch}`
#[derive(Template)]
#[template(path = "admin/gift_card_batch.html")]
pub struct Batch {
    /// What every template knows.
    pub page: Page,
    /// The batch.
    pub batch: BatchView,
    /// One page of its cards.
    pub cards: Vec<CardView>,
    /// The next page.
    pub further: Option<String>,
    /// Which cards are shown.
    pub form: Form,
    /// What the plan is called that a card begins.
    pub plan: Option<String>,
    /// What counts as expired.
    pub now: i64,
}

/// `/admin/coupons`
#[derive(Template)]
#[template(path = "admin/coupons.html")]
pub struct Coupons {
    /// What every template knows.
    pub page: Page,
    /// One page of them.
    pub coupons: Vec<CouponView>,
    /// The search.
    pub form: Form,
    /// The next page.
    pub older: Option<String>,
    /// What counts as ended.
    pub now: i64,
}

/// `/admin/coupons/new` and `/admin/coupons/{id}`
#[derive(Template)]
#[template(path = "admin/coupon.html")]
pub struct Coupon {
    /// What every template knows.
    pub page: Page,
    /// The one that is edited; none for a new one.
    pub coupon: Option<CouponView>,
    /// One page of the orders that it was in.
    pub uses: Vec<UseView>,
    /// The next page of them.
    pub older: Option<String>,
    /// Its fields.
    pub form: Form,
}

/// `/admin/referrals`
#[derive(Template)]
#[template(path = "admin/referrals.html")]
pub struct Referrals {
    /// What every template knows.
    pub page: Page,
    /// One page of them.
    pub all: Vec<Referral>,
    /// The next page.
    pub older: Option<String>,
    /// What the shop gives.
    pub form: Form,
    /// The search.
    pub filter: Form,
    /// Whether this admin may change what the shop gives.
    pub owner: bool,
}

/// `/admin/users`
#[derive(Template)]
#[template(path = "admin/users.html")]
pub struct Users {
    /// What every template knows.
    pub page: Page,
    /// One page of people.
    pub users: Vec<User>,
    /// The search.
    pub form: Form,
    /// The next page.
    pub older: Option<String>,
}

/// `/admin/users/{id}`
#[derive(Template)]
#[template(path = "admin/user.html")]
pub struct Person {
    /// What every template knows.
    pub page: Page,
    /// Who.
    pub user: User,
    /// What they have.
    pub balance: Balance,
    /// Spent since the first of the month, UTC.
    pub month: Usd,
    /// The latest movements of their money.
    pub movements: Vec<TransferRow>,
    /// Their latest plans.
    pub plans: Vec<MyPlan>,
    /// The form of an adjustment.
    pub form: Form,
    /// Makes an adjustment that is sent twice count once.
    pub once: Id,
    /// Whether this admin may shut the account.
    pub may_disable: bool,
    /// What holds for everybody for whom nothing was set.
    pub defaults: Allowance,
    /// From when on no key of theirs works.
    pub access_ends: i64,
}

/// `/admin/requests`
#[derive(Template)]
#[template(path = "admin/requests.html")]
pub struct Requests {
    /// What every template knows.
    pub page: Page,
    /// One page of them.
    pub requests: Vec<Listed>,
    /// The search.
    pub form: Form,
    /// Whose they are, when only one customer's are shown.
    pub user: Option<User>,
    /// The next page.
    pub older: Option<String>,
}

/// A line of the explanation of a request's way.
#[derive(Clone, Debug)]
pub struct Step {
    /// The channel.
    pub channel: Id,
    /// What it is called.
    pub name: String,
    /// With which of its keys, as people count, and for which of the upstream's models.
    pub asked: Option<(usize, String)>,
    /// How it looks.
    pub tone: &'static str,
    /// What came of it, or why it was not asked.
    pub words: String,
    /// After how many milliseconds.
    pub ms: Option<i64>,
}

/// `/admin/requests/{id}`
#[derive(Template)]
#[template(path = "admin/request.html")]
pub struct Request {
    /// What every template knows.
    pub page: Page,
    /// All that is known of it.
    pub row: RequestRow,
    /// What the customer calls the key.
    pub key: Option<String>,
    /// How many channels served the model.
    pub candidates: Option<i64>,
    /// Who was asked and who was not, in order.
    pub steps: Vec<Step>,
}

/// `/admin/settings`
#[derive(Template)]
#[template(path = "admin/settings.html")]
pub struct Settings {
    /// What every template knows.
    pub page: Page,
    /// Its fields.
    pub form: Form,
}

/// A question before something is lost.
#[derive(Template)]
#[template(path = "admin/ask.html")]
pub struct Ask {
    /// What every template knows.
    pub page: Page,
    /// The question.
    pub question: Question,
}
