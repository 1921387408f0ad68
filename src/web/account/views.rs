//! The customer's pages as templates know them.

use crate::gift_cards::RedeemedCard;
use crate::gift_cards::sale::SaleView;
use crate::invoices::{Listed, Sheet};
use crate::kernel::secrets::Secret;
use crate::kernel::{Id, Usd};
use crate::keys::KeyView;
use crate::ledger::Balance;
use crate::ledger::statement::{DayLine, Line};
use crate::ledger::store::CreditRow;
use crate::payments::automatic::Automatic;
use crate::payments::provider::SavedCard;
use crate::payments::{ChangeOffer, Order, UnpaidBill};
use crate::plans::{Plan, Stacking, State, SubscriptionView};
use crate::referrals::{Link, Referral, Rules};
use crate::settings::TopUpTerms;
use crate::usage::RequestView;
use crate::web::snippets::Snippet;
use crate::web::ui::Question;
use crate::web::{Form, Page};
use askama::Template;

/// `/account`
#[derive(Template)]
#[template(path = "account/dashboard.html")]
pub struct Dashboard {
    /// What every template knows.
    pub page: Page,
    /// What the balance consists of.
    pub balance: Balance,
    /// Spent since midnight, UTC.
    pub today: Usd,
    /// Spent since the first of the month, UTC.
    pub month: Usd,
    /// The latest requests.
    pub requests: Vec<RequestView>,
    /// The customer's keys.
    pub keys: Vec<KeyView>,
    /// The redeem box.
    pub form: Form,
    /// The quick start.
    pub snippets: Vec<Snippet>,
}

/// A credit as the wallet shows it.
#[derive(Clone, Debug)]
pub struct WalletCredit {
    /// The credit.
    pub row: CreditRow,
    /// It can be spent from then on, and not yet.
    pub begins_at: Option<i64>,
    /// It is over, and is taken out of the wallet soon.
    pub is_over: bool,
}

impl WalletCredit {
    /// A credit at a moment.
    pub fn of(row: CreditRow, now: i64) -> Self {
        let begins_at = Some(row.bucket.effective_at).filter(|at| *at > now && row.frozen.is_none());
        Self { begins_at, is_over: row.bucket.expires_at <= now && row.frozen.is_none(), row }
    }
}

/// `/account/wallet`
#[derive(Template)]
#[template(path = "account/wallet.html")]
pub struct Wallet {
    /// What every template knows.
    pub page: Page,
    /// What the balance consists of.
    pub balance: Balance,
    /// What the statement ends with.
    pub total: Usd,
    /// The credits that pay for everything, in spend order.
    pub wallet: Vec<WalletCredit>,
    /// The allowances of plans.
    pub plans: Vec<WalletCredit>,
    /// The oldest requests that run, with what they hold.
    pub holds: Vec<(Id, Usd)>,
    /// There are more of them.
    pub more_holds: bool,
    /// One page of days.
    pub days: Vec<DayLine>,
    /// Or of movements.
    pub lines: Vec<Line>,
    /// The next page.
    pub older: Option<String>,
    /// The same as a file.
    pub file: String,
    /// Which part.
    pub form: Form,
    /// Whose days they are.
    pub zone: String,
}

/// `/account/gift-cards`
#[derive(Template)]
#[template(path = "account/gift_cards.html")]
pub struct GiftCards {
    /// What every template knows.
    pub page: Page,
    /// One page of the cards that they have bought.
    pub bought: Vec<SaleView>,
    /// The next page of them.
    pub older_bought: Option<String>,
    /// One page of the cards that they have redeemed.
    pub redeemed: Vec<RedeemedCard>,
    /// The next page of them.
    pub older_redeemed: Option<String>,
    /// The redeem box, and the form of a new gift.
    pub form: Form,
    /// Whether it can be paid by card, and not only from the balance.
    pub takes_cards: bool,
}

/// `/account/gift-cards/{order}/send`
#[derive(Template)]
#[template(path = "account/gift_card_send.html")]
pub struct SendCard {
    /// What every template knows.
    pub page: Page,
    /// The card.
    pub sale: SaleView,
    /// The address.
    pub form: Form,
}

/// `/account/invoices`
#[derive(Template)]
#[template(path = "account/invoices.html")]
pub struct Invoices {
    /// What every template knows.
    pub page: Page,
    /// One page of them.
    pub documents: Vec<Listed>,
    /// Where the next page begins.
    pub older: Option<Id>,
}

/// `/account/invoices/{id}`
#[derive(Template)]
#[template(path = "account/invoice.html")]
pub struct Invoice {
    /// What every template knows.
    pub page: Page,
    /// The document.
    pub id: Id,
    /// Its words.
    pub sheet: Sheet,
}

/// `/account/billing`
#[derive(Template)]
#[template(path = "account/billing.html")]
pub struct BillingDetails {
    /// What every template knows.
    pub page: Page,
    /// Its fields.
    pub form: Form,
}

/// `/account/referrals`
#[derive(Template)]
#[template(path = "account/referrals.html")]
pub struct Referrals {
    /// What every template knows.
    pub page: Page,
    /// What the shop gives.
    pub rules: Rules,
    /// The customer's link, when they want one.
    pub link: Option<Link>,
    /// One page of those who came by it.
    pub brought: Vec<Referral>,
    /// Where the next page begins.
    pub older: Option<Id>,
}

impl Referrals {
    /// What a customer hands on.
    pub fn url(&self, link: &Link) -> String {
        format!("{}/r/{}", self.page.base_url, link.code)
    }
}

/// `/account/requests`
#[derive(Template)]
#[template(path = "account/requests.html")]
pub struct Requests {
    /// What every template knows.
    pub page: Page,
    /// One page of them.
    pub requests: Vec<RequestView>,
    /// Where the next page begins.
    pub older: Option<Id>,
    /// It is a single one that was asked for.
    pub only: bool,
}

/// A plan as one customer is offered it.
#[derive(Clone, Debug)]
pub struct PlanOffer {
    /// The plan.
    pub plan: Plan,
    /// The subscription that can change to it when it is renewed.
    pub change: Option<Id>,
    /// The customer has it already.
    pub has_it: bool,
    /// Days that a subscription to it costs nothing for this customer.
    pub trial_days: i64,
    /// What it costs out of the balance; none where no rate is known.
    pub credit: Option<Usd>,
    /// The balance covers that.
    pub covered: bool,
}

impl PlanOffer {
    /// It can be subscribed to, and is not had already in a way that a second time would make longer.
    pub fn can_subscribe(&self) -> bool {
        self.plan.terms.sold.by_subscription() && !(self.has_it && self.plan.terms.stacking == Stacking::Extend)
    }
}

/// `/account/plans`
#[derive(Template)]
#[template(path = "account/plans.html")]
pub struct ChoosePlan {
    /// What every template knows.
    pub page: Page,
    /// One page of them.
    pub offers: Vec<PlanOffer>,
    /// The next page.
    pub further: Option<String>,
    /// Cards are taken.
    pub takes_cards: bool,
}

/// `/account/plans/{id}`
#[derive(Template)]
#[template(path = "account/offer.html")]
pub struct PlanPage {
    /// What every template knows.
    pub page: Page,
    /// The plan.
    pub offer: PlanOffer,
    /// Cards are taken.
    pub takes_cards: bool,
}

/// A subscription with what its page tells of it.
#[derive(Clone, Debug)]
pub struct MyPlan {
    /// The subscription.
    pub view: SubscriptionView,
    /// What is left of its allowance.
    pub left: Usd,
    /// When it is given anew.
    pub resets_at: Option<i64>,
    /// It will be renewed.
    pub goes_on: bool,
    /// Its renewal is on its way.
    pub waits: bool,
    /// The bill that could not be collected.
    pub bill: Option<UnpaidBill>,
    /// What counts as past.
    pub now: i64,
}

/// `/account/plan`
#[derive(Template)]
#[template(path = "account/plan.html")]
pub struct MyPlans {
    /// What every template knows.
    pub page: Page,
    /// Those that run.
    pub live: Vec<MyPlan>,
    /// Those that have ended.
    pub past: Vec<MyPlan>,
    /// Where the next page begins.
    pub older: Option<Id>,
}

/// `/account/plan/{id}/change`
#[derive(Template)]
#[template(path = "account/change.html")]
pub struct ChangePlan {
    /// What every template knows.
    pub page: Page,
    /// The subscription.
    pub subscription: Id,
    /// To what it can change, and how.
    pub offer: ChangeOffer,
}

/// `/account/plan/{id}/pay`
#[derive(Template)]
#[template(path = "account/pay_plan.html")]
pub struct PayPlan {
    /// What every template knows.
    pub page: Page,
    /// The subscription.
    pub view: SubscriptionView,
    /// Its bill.
    pub bill: UnpaidBill,
}

impl PayPlan {
    /// What the plan is called.
    pub fn name(&self) -> &str {
        self.view.terms.last().map_or("", |term| term.terms.name.as_str())
    }
}

/// `/account/keys`
#[derive(Template)]
#[template(path = "account/keys.html")]
pub struct Keys {
    /// What every template knows.
    pub page: Page,
    /// The customer's keys.
    pub keys: Vec<KeyView>,
    /// The form for a new one.
    pub form: Form,
    /// The new key, shown this once.
    pub made: Option<Secret<String>>,
    /// What counts as expired.
    pub now: i64,
}

/// `/account/keys/{id}`
#[derive(Template)]
#[template(path = "account/key.html")]
pub struct EditKey {
    /// What every template knows.
    pub page: Page,
    /// The key as it is.
    pub key: KeyView,
    /// Its fields.
    pub form: Form,
}

/// `/account/top-up`
#[derive(Template)]
#[template(path = "account/top_up.html")]
pub struct TopUp {
    /// What every template knows.
    pub page: Page,
    /// How much.
    pub form: Form,
    /// How credit is sold.
    pub terms: TopUpTerms,
    /// Whether cards are taken at all.
    pub takes_cards: bool,
}

/// `/account/orders`
#[derive(Template)]
#[template(path = "account/orders.html")]
pub struct Orders {
    /// What every template knows.
    pub page: Page,
    /// One page of them.
    pub orders: Vec<Order>,
    /// Where the next page begins.
    pub older: Option<Id>,
}

/// `/account/orders/{id}`
#[derive(Template)]
#[template(path = "account/order.html")]
pub struct OrderPage {
    /// What every template knows.
    pub page: Page,
    /// The order.
    pub order: Order,
    /// Its documents.
    pub documents: Vec<Listed>,
    /// It can still be paid.
    pub can_pay: bool,
    /// The page leads on to where it is paid.
    pub leads_on: bool,
    /// It was paid a moment ago, and nothing was heard of it yet.
    pub waits: bool,
    /// The bank wants the customer to confirm it.
    pub confirm: bool,
}

/// Which card is saved.
#[derive(Clone, Debug)]
pub enum SavedWith {
    /// This one.
    Card(SavedCard),
    /// None.
    Nothing,
    /// The provider does not say.
    Unknown,
    /// The shop takes no cards.
    NoProvider,
}

impl SavedWith {
    /// Whether the shop takes cards.
    pub fn is_with_provider(&self) -> bool {
        !matches!(self, SavedWith::NoProvider)
    }

    /// Whether there is one.
    pub fn is_saved(&self) -> bool {
        matches!(self, SavedWith::Card(_))
    }
}

/// `/account/payment`
#[derive(Template)]
#[template(path = "account/payment.html")]
pub struct Payment {
    /// What every template knows.
    pub page: Page,
    /// The card.
    pub card: SavedWith,
    /// What the customer has agreed to.
    pub automatic: Option<Automatic>,
    /// What was bought by itself this month.
    pub bought: Usd,
    /// The order that is under way.
    pub under_way: Option<Id>,
    /// How credit is sold.
    pub terms: TopUpTerms,
    /// What is to be agreed to.
    pub form: Form,
    /// What counts as past.
    pub now: i64,
}

impl Payment {
    /// Whether the card may be charged.
    pub fn is_on(&self) -> bool {
        self.automatic.as_ref().is_some_and(|automatic| automatic.is_on)
    }

    /// Whether it rests for a while.
    pub fn is_paused(&self) -> bool {
        self.automatic.as_ref().is_some_and(|automatic| automatic.is_on && automatic.paused_until > self.now)
    }
}

/// `/account/notices`
#[derive(Template)]
#[template(path = "account/notices.html")]
pub struct Notices {
    /// What every template knows.
    pub page: Page,
    /// Where the mails go.
    pub email: String,
    /// What is wanted.
    pub form: Form,
}

/// `/account/orders/{id}/confirm`
#[derive(Template)]
#[template(path = "account/confirm.html")]
pub struct ConfirmPayment {
    /// What every template knows.
    pub page: Page,
    /// The order.
    pub order: Order,
}

/// A question before something is lost.
#[derive(Template)]
#[template(path = "account/ask.html")]
pub struct Ask {
    /// What every template knows.
    pub page: Page,
    /// The question.
    pub question: Question,
}
