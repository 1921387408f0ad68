//! How an order is made, paid, and ended.

use super::automatic::KEEP_CARD;
use super::order::{NewRow, SUBSCRIPTION};
use super::provider::{Checkout, CheckoutStatus, Invoice, Mismatch, Mode, NewCheckout, NewCustomer, PaymentStatus};
use super::store::{DisputeRow, EventView, RefundRow};
use super::{Method, NewOrder, Order, PaymentError, Payments, State, What, Wish, store};
use crate::coupons::{self, Basket, Bought, CouponError};
use crate::db::{Conn, Tx};
use crate::gift_cards::sale::{self, Gift, Sold};
use crate::invoices;
use crate::kernel::{Currency, Id, Money, NEVER, Rate, Usd};
use crate::ledger::{CreditKind, EVERYTHING, Grant, House, Posting, Take, TransferKind};
use crate::plans::{self, Activation, BuyWay, Renewal, Reserve};
use crate::referrals;

/// How long an order can be paid.
const PAYABLE_MS: i64 = 3_600_000;
/// When the provider is asked for the first time what became of an order, if no message tells.
const FIRST_LOOK_MS: i64 = 5 * 60_000;
/// How long after its end an order is looked at for the last time: the provider's clock is not ours.
const GRACE_MS: i64 = 60_000;
/// How many orders of one customer may wait to be paid.
const MOST_PENDING: i64 = 20;

/// What is wished for, before any coupon.
struct Offer {
    what: What,
    price: Money,
    rate: Rate,
    worth: Usd,
    details: String,
    title: String,
    bonus: Usd,
}

/// What happened to an order.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// What went back, or is going back.
    pub refunds: Vec<RefundRow>,
    /// What its customer's bank wanted back.
    pub disputes: Vec<DisputeRow>,
    /// What the provider told about it.
    pub messages: Vec<EventView>,
}

impl Payments {
    /// What happened to an order.
    ///
    /// # Errors
    /// The database's.
    pub async fn history(&self, conn: &mut Conn, order: Id) -> Result<History, sqlx::Error> {
        let refunds = store::refunds_of_order(conn, order).await?;
        let disputes = store::disputes_of_order(conn, order).await?;
        Ok(History { refunds, disputes, messages: store::events_of_order(conn, order).await? })
    }

    /// Messages that were believed and could not be acted on, newest first, older than `before`.
    ///
    /// # Errors
    /// The database's.
    pub async fn messages_to_look_at(&self, conn: &mut Conn, before: Option<Id>, limit: i64) -> Result<Vec<EventView>, sqlx::Error> {
        store::events_to_look_at(conn, before.unwrap_or(Id(i64::MAX)), limit).await
    }

    /// Makes an order, and reserves with it what is scarce: a plan's place, a coupon. Its row is committed when this returns; what is paid out of the balance, or
    /// costs nothing, is paid and delivered then.
    ///
    /// # Errors
    /// [`PaymentError::Refused`] when the plan cannot be bought, [`PaymentError::Coupon`], [`LedgerError::InsufficientBalance`](crate::ledger::LedgerError),
    /// [`PaymentError::NoRate`], [`PaymentError::TooManyPending`]; then there is no order.
    pub async fn order(&self, new: &NewOrder) -> Result<Order, PaymentError> {
        let (id, now) = (self.kit.ids.next(), self.now());
        let mut tx = self.db.write().await?;
        self.books.open_wallet(&mut tx, new.user).await?;
        let offer = self.offer(&mut tx, new, id).await?;
        let row = self.discounted(&mut tx, new, id, offer).await?;
        let is_paid_now = matches!(row.method, Method::Free | Method::Balance);
        if !is_paid_now && store::count_pending(&mut tx, new.user).await? >= MOST_PENDING {
            return Err(PaymentError::TooManyPending);
        }
        store::insert_order(&mut tx, id, &row, now, now + PAYABLE_MS, now + FIRST_LOOK_MS).await?;
        let mut order = store::lock_order(&mut tx, id).await?.ok_or(PaymentError::NoOrder(id))?;
        if is_paid_now {
            self.deliver(&mut tx, &order).await?;
            order = store::lock_order(&mut tx, id).await?.ok_or(PaymentError::NoOrder(id))?;
        }
        tx.commit().await?;
        Ok(order)
    }

    /// What is wished for, at its price without a coupon.
    async fn offer(&self, tx: &mut Tx, new: &NewOrder, order: Id) -> Result<Offer, PaymentError> {
        let terms = &self.settings.now().top_up;
        let for_credit = |what, worth, details, bonus| {
            let price = terms.price(worth).ok_or(PaymentError::NoRate(terms.currency))?;
            Ok(Offer { what, price, rate: terms.rate, worth, details, title: new.title.clone(), bonus })
        };
        match &new.wish {
            Wish::TopUp(worth) => for_credit(What::TopUp, *worth, String::new(), terms.bonus(*worth)),
            Wish::TopUpAndKeepCard(worth) => for_credit(What::TopUp, *worth, KEEP_CARD.to_owned(), terms.bonus(*worth)),
            Wish::GiftCard(worth, gift) => for_credit(What::GiftCard, *worth, gift.write(), Usd::ZERO),
            Wish::Plan(plan) => self.offer_plan(tx, new, order, *plan, BuyWay::Once).await,
            Wish::Subscription(plan) => {
                self.provider()?;
                self.offer_plan(tx, new, order, *plan, BuyWay::Subscription).await
            }
        }
    }

    async fn offer_plan(&self, tx: &mut Tx, new: &NewOrder, order: Id, plan: Id, way: BuyWay) -> Result<Offer, PaymentError> {
        let reserved = plans::reserve(tx, &self.kit, &Reserve { user: new.user, plan, order, way }).await?;
        let renews = way == BuyWay::Subscription;
        if renews && let Some(open) = store::pending_subscription(tx, new.user, plan).await? {
            return Err(PaymentError::AlreadyOrdered(open));
        }
        let full = reserved.terms.price();
        // A trial begins with nothing to pay.
        let price = if reserved.trial_days > 0 { Money::zero(full.currency) } else { full };
        let rate = self.rate(price.currency)?;
        let worth = rate.credit(price).ok_or(PaymentError::NoRate(price.currency))?;
        let details = if renews { SUBSCRIPTION.to_owned() } else { String::new() };
        Ok(Offer { what: What::Plan(plan), price, rate, worth, details, title: reserved.terms.name, bonus: Usd::ZERO })
    }

    /// An offer with its coupon.
    async fn discounted(&self, tx: &mut Tx, new: &NewOrder, order: Id, offer: Offer) -> Result<NewRow, PaymentError> {
        let Offer { what, price: list_price, rate, worth, details, title, bonus } = offer;
        let (mut price, mut bonus) = (list_price, bonus);
        if !new.coupon.trim().is_empty() {
            let bought = match what {
                What::TopUp => Bought::TopUp,
                What::Plan(plan) => Bought::Plan(plan),
                What::GiftCard => Bought::GiftCard,
            };
            let first = store::count_paid(tx, new.user).await? == 0;
            let discount = coupons::reserve(tx, &self.kit, new.user, &new.coupon, order, &Basket { what: bought, money: list_price, first }).await?;
            // The provider renews at the price of the plan, and takes nothing off.
            if details == SUBSCRIPTION && discount.off.minor > 0 {
                return Err(PaymentError::Coupon(CouponError::OtherThing));
            }
            price = list_price.checked_sub(discount.off).filter(|left| left.minor >= 0).ok_or(PaymentError::NoRate(list_price.currency))?;
            bonus += discount.bonus;
        }
        let credit = if price == list_price { worth } else { rate.credit(price).unwrap_or(worth).min(worth) };
        let method = if price.minor == 0 && details != SUBSCRIPTION { Method::Free } else { new.method.clone() };
        let (user, language) = (new.user, new.language.clone());
        Ok(NewRow { user, what, details, title, language, method, list_price, price, rate, worth, credit, bonus })
    }

    /// Units of a currency for one dollar of credit.
    pub(super) fn rate(&self, currency: Currency) -> Result<Rate, PaymentError> {
        let terms = &self.settings.now().top_up;
        match currency {
            Currency::USD => Ok(Rate::ONE),
            known if known == terms.currency => Ok(terms.rate),
            other => Err(PaymentError::NoRate(other)),
        }
    }

    /// The page on which a pending order is paid. Asked again, it is the same page: the order is the provider's key. `None` when there is nothing to pay any more.
    ///
    /// # Errors
    /// The provider's, and [`PaymentError::NoProvider`]; the order waits, and can be tried again.
    pub async fn pay_page(&self, order: &Order) -> Result<Option<String>, PaymentError> {
        let provider = self.provider()?;
        if order.state != State::Pending || order.method.word() != provider.name() || order.expires_at <= self.now() || order.is_automatic() {
            return Ok(None);
        }
        if order.checkout_url.is_some() {
            return Ok(order.checkout_url.clone());
        }
        let customer = self.customer(order.user).await?;
        let page = format!("{}/account/orders/{}", self.base_url, order.id);
        let (sale, price) = self.sale(order).await?;
        let checkout = NewCheckout {
            order: order.id,
            user: order.user,
            customer,
            title: order.title.clone(),
            price,
            sale,
            success_url: format!("{page}?paid"),
            cancel_url: page,
            expires_at: order.expires_at,
            language: order.language.clone(),
        };
        let checkout = provider.checkout(&checkout).await?;
        let mut tx = self.db.write().await?;
        store::set_checkout(&mut tx, order.id, &checkout.id, checkout.url.as_deref(), self.now() + FIRST_LOOK_MS).await?;
        tx.commit().await?;
        Ok(checkout.url)
    }

    /// The provider's customer for one of ours: made once.
    async fn customer(&self, user: Id) -> Result<String, PaymentError> {
        let provider = self.provider()?;
        let mut conn = self.db.read().await?;
        if let Some(known) = store::customer(&mut conn, user, provider.name()).await? {
            return Ok(known);
        }
        let email = store::email(&mut conn, user).await?.unwrap_or_default();
        drop(conn);
        let customer = provider.customer(&NewCustomer { user, email }).await?;
        let mut tx = self.db.write().await?;
        store::insert_customer(&mut tx, user, provider.name(), &customer, self.now()).await?;
        let kept = store::customer(&mut tx, user, provider.name()).await?;
        tx.commit().await?;
        Ok(kept.unwrap_or(customer))
    }

    /// Holds what a provider says of a checkout against its order, and acts on it. The order must be locked. `bill` is the first one of the subscription that it
    /// has begun. Returns how the order stands then.
    pub(super) async fn take_word(&self, tx: &mut Tx, order: &Order, checkout: &Checkout, bill: Option<&Invoice>) -> Result<State, PaymentError> {
        if checkout.order != Some(order.id) {
            return Err(PaymentError::Mismatch(Mismatch::Order));
        }
        if checkout.status == CheckoutStatus::Complete && checkout.payment_status != PaymentStatus::Unpaid {
            let customer = store::customer(tx, order.user, order.method.word()).await?;
            let mode = if order.begins_subscription() { Mode::Subscription } else { Mode::Payment };
            checkout.pays(order.id, order.price, customer.as_deref(), mode)?;
            let renewal = match mode {
                Mode::Subscription => self.begun_by(order, checkout, bill)?,
                _ => Renewal::Once,
            };
            let payment = checkout.payment.as_deref().or(bill.and_then(|bill| bill.payment.as_deref()));
            store::set_payment(tx, order.id, payment, checkout.subscription.as_deref()).await?;
            self.deliver_as(tx, order, renewal).await?;
            return Ok(State::Paid);
        }
        if checkout.status == CheckoutStatus::Expired {
            self.end(tx, order, State::Expired).await?;
            return Ok(State::Expired);
        }
        if checkout.payment.is_some() {
            store::set_payment(tx, order.id, checkout.payment.as_deref(), None).await?;
        }
        Ok(order.state)
    }

    /// Marks an order paid and gives what was bought, once. Whether it was now.
    pub(super) async fn deliver(&self, tx: &mut Tx, order: &Order) -> Result<bool, PaymentError> {
        self.deliver_as(tx, order, Renewal::Once).await
    }

    /// The same, when somebody renews what was bought.
    async fn deliver_as(&self, tx: &mut Tx, order: &Order, renewal: Renewal) -> Result<bool, PaymentError> {
        if !store::mark_paid(tx, order.id, self.now()).await? {
            return Ok(false);
        }
        if let What::Plan(plan) = order.what {
            plans::lock(tx, plan).await?;
        }
        // Before the wallet is locked, as whoever releases a coupon does.
        coupons::used(tx, order.id).await?;
        match order.what {
            What::TopUp => self.credit(tx, order).await?,
            What::Plan(plan) => self.begin_plan(tx, order, plan, renewal).await?,
            What::GiftCard => self.issue_card(tx, order).await?,
        }
        self.delivered(tx, order).await?;
        Ok(true)
    }

    /// What follows when an order was paid and delivered, whatever it was: a purchase, or a renewal that was collected.
    pub(super) async fn delivered(&self, tx: &mut Tx, order: &Order) -> Result<(), PaymentError> {
        if matches!(order.method, Method::Provider(_)) {
            referrals::order_paid(tx, &self.kit, order.user, order.id, order.credit).await?;
            self.issue_document(tx, order).await?;
        }
        if order.is_automatic() {
            self.automatic_paid(tx, order).await?;
        }
        tracing::info!(order = %order.id, user = %order.user, price = %order.price.display(), "an order was paid");
        Ok(())
    }

    /// The document of an order that a provider was paid for. Its number's lock is the last one.
    async fn issue_document(&self, tx: &mut Tx, order: &Order) -> Result<(), PaymentError> {
        if order.price.minor == 0 {
            return Ok(());
        }
        let credit = if order.what == What::TopUp { order.worth } else { Usd::ZERO };
        let paid = invoices::Paid {
            order: order.id,
            user: order.user,
            title: &order.title,
            language: &order.language,
            list_price: order.list_price,
            price: order.price,
            rate: order.rate,
            credit,
            bonus: order.bonus,
        };
        invoices::issue(tx, &self.kit, &self.office(), &paid).await?;
        Ok(())
    }

    pub(super) async fn credit(&self, tx: &mut Tx, order: &Order) -> Result<(), PaymentError> {
        let mut bought = None;
        if order.credit > Usd::ZERO {
            bought = Some(self.give(tx, order, CreditKind::Paid, House::Cash, order.credit, order.reference()).await?);
        }
        let given = self.give_on_top(tx, order, order.given()).await?;
        Ok(store::set_credits(tx, order.id, bought, given).await?)
    }

    /// What the shop gives with an order.
    async fn give_on_top(&self, tx: &mut Tx, order: &Order, amount: Usd) -> Result<Option<Id>, PaymentError> {
        if amount <= Usd::ZERO {
            return Ok(None);
        }
        self.give(tx, order, CreditKind::Gift, House::Promotion, amount, format!("{}:bonus", order.reference())).await.map(Some)
    }

    pub(super) async fn give(
        &self,
        tx: &mut Tx,
        order: &Order,
        kind: CreditKind,
        from: House,
        amount: Usd,
        idempotency_key: String,
    ) -> Result<Id, PaymentError> {
        let (user, reference, effective_at) = (order.user, order.reference(), self.now());
        let (priority, expires_at, scope) = (100, NEVER, EVERYTHING);
        let grant = Grant { user, kind, from, amount, priority, effective_at, expires_at, scope, reference, idempotency_key };
        Ok(self.books.grant(tx, grant).await?.credit_id)
    }

    /// Puts what an order has paid for something that is delivered later where it waits.
    pub(super) async fn set_aside(&self, tx: &mut Tx, order: &Order, to: House) -> Result<(), PaymentError> {
        let (user, amount, reference) = (order.user, order.credit, order.reference());
        if amount > Usd::ZERO && order.method == Method::Balance {
            // What was given away buys no gift card: it would come back as money's worth.
            let kinds = if to == House::Cards { &[CreditKind::Paid] } else { Take::ANY };
            let (kind, idempotency_key) = (TransferKind::Purchase, reference.clone());
            self.books.take(tx, &Take { user, amount, to, kind, kinds, reference, idempotency_key }).await?;
        } else if amount > Usd::ZERO {
            let (debit, kind, idempotency_key) = (House::Cash, TransferKind::Sale, reference.clone());
            self.books.post(tx, &Posting { user, debit, credit: to, amount, kind, reference, idempotency_key }).await?;
        }
        Ok(())
    }

    async fn issue_card(&self, tx: &mut Tx, order: &Order) -> Result<(), PaymentError> {
        let gift = Gift::read(&order.details).ok_or(PaymentError::NoOrder(order.id))?;
        self.set_aside(tx, order, House::Cards).await?;
        let amount = order.worth - order.credit;
        if amount > Usd::ZERO {
            let (debit, credit, kind, reference) = (House::Promotion, House::Cards, TransferKind::Sale, order.reference());
            let idempotency_key = format!("{reference}:off");
            self.books.post(tx, &Posting { user: order.user, debit, credit, amount, kind, reference, idempotency_key }).await?;
        }
        sale::issue(tx, &self.kit, &Sold { order: order.id, buyer: order.user, amount: order.worth, gift: &gift }).await?;
        let given = self.give_on_top(tx, order, order.bonus).await?;
        Ok(store::set_credits(tx, order.id, None, given).await?)
    }

    async fn begin_plan(&self, tx: &mut Tx, order: &Order, plan: Id, renewal: Renewal) -> Result<(), PaymentError> {
        self.set_aside(tx, order, House::Plans).await?;
        let (user, amount) = (order.user, order.credit);
        let paid = Activation { user, plan, order: order.id, paid: amount, funding: House::Plans, renewal, zone: &self.settings.now().time_zone };
        let given = plans::activate(tx, &self.kit, &self.books, &paid).await?;
        if given.late {
            store::note(tx, order.id, "paid after its place had been given to somebody else").await?;
        }
        let given = self.give_on_top(tx, order, order.bonus).await?;
        Ok(store::set_credits(tx, order.id, None, given).await?)
    }

    /// Ends an order that nobody has paid. Whether it was pending.
    pub(super) async fn end(&self, tx: &mut Tx, order: &Order, state: State) -> Result<bool, PaymentError> {
        let was_pending = store::mark_ended(tx, order.id, state, self.now()).await?;
        if was_pending {
            plans::release(tx, &self.kit, order.id).await?;
            coupons::release(tx, order.id).await?;
            if order.is_automatic() {
                self.automatic_ended(tx, order).await?;
            }
        }
        Ok(was_pending)
    }

    /// Gives up an order that its customer no longer wants: closes the page, and ends the order unless it was paid meanwhile.
    ///
    /// # Errors
    /// The provider's: nobody knows then whether it can still be paid, and it stays as it is.
    pub async fn cancel(&self, id: Id) -> Result<State, PaymentError> {
        let order = self.find(id).await?;
        if order.state != State::Pending {
            return Ok(order.state);
        }
        if order.is_automatic() {
            return self.give_up(id).await;
        }
        match &order.checkout {
            Some(checkout) => {
                let closed = self.provider()?.expire_checkout(checkout).await?;
                self.hear(id, &closed).await
            }
            None => self.look_at(id, true).await,
        }
    }

    /// Asks the provider what became of a pending order, and acts on it.
    ///
    /// # Errors
    /// The provider's; the order stays as it is.
    pub async fn look(&self, id: Id) -> Result<State, PaymentError> {
        self.look_at(id, false).await
    }

    /// `over`: one that nobody has begun to pay ends now, whether or not its time is over.
    async fn look_at(&self, id: Id, over: bool) -> Result<State, PaymentError> {
        let order = self.find(id).await?;
        if order.state != State::Pending {
            return Ok(order.state);
        }
        if order.is_automatic() {
            return self.attend(id).await;
        }
        let is_over = over || order.expires_at + GRACE_MS <= self.now();
        let Some(checkout) = &order.checkout else {
            // The page may have been made and its answer lost: then it stands in the provider's list, and is closed.
            if !is_over {
                return Ok(order.state);
            }
            return self.close_unheard(&order).await;
        };
        let provider = self.provider()?;
        let mut seen = provider.look_at_checkout(checkout).await?;
        if is_over && seen.status == CheckoutStatus::Open {
            seen = provider.expire_checkout(checkout).await?;
        }
        self.hear(id, &seen).await
    }

    /// Ends an order whose page we never heard of, unless the provider has it.
    async fn close_unheard(&self, order: &Order) -> Result<State, PaymentError> {
        use super::provider::List;
        let provider = self.provider()?;
        let mut list = List { from: Some(order.created_at - GRACE_MS), until: Some(order.expires_at + GRACE_MS), after: None };
        loop {
            let page = provider.checkouts(&list).await?;
            if let Some(found) = page.items.into_iter().find(|checkout| checkout.order == Some(order.id)) {
                let mut tx = self.db.write().await?;
                store::set_checkout(&mut tx, order.id, &found.id, found.url.as_deref(), self.now()).await?;
                tx.commit().await?;
                let closed = if found.status == CheckoutStatus::Open { provider.expire_checkout(&found.id).await? } else { found };
                return self.hear(order.id, &closed).await;
            }
            list.after = page.next;
            if list.after.is_none() {
                break;
            }
        }
        let mut tx = self.db.write().await?;
        let Some(order) = store::lock_order(&mut tx, order.id).await? else { return Err(PaymentError::NoOrder(order.id)) };
        self.end(&mut tx, &order, State::Expired).await?;
        tx.commit().await?;
        Ok(State::Expired)
    }

    /// Acts on what the provider says of an order's checkout, in a transaction of its own.
    pub(super) async fn hear(&self, id: Id, checkout: &Checkout) -> Result<State, PaymentError> {
        let bill = self.first_bill(checkout).await?;
        let mut tx = self.db.write().await?;
        let order = store::lock_order(&mut tx, id).await?.ok_or(PaymentError::NoOrder(id))?;
        let state = self.take_word(&mut tx, &order, checkout, bill.as_ref()).await?;
        tx.commit().await?;
        Ok(state)
    }

    /// An order.
    ///
    /// # Errors
    /// [`PaymentError::NoOrder`].
    pub async fn find(&self, id: Id) -> Result<Order, PaymentError> {
        store::find_order(&mut *self.db.read().await?, id).await?.ok_or(PaymentError::NoOrder(id))
    }

    /// A customer's orders, newest first, older than `before`.
    ///
    /// # Errors
    /// The database's.
    pub async fn orders_of(&self, conn: &mut Conn, user: Id, before: Option<Id>, limit: i64) -> Result<Vec<Order>, sqlx::Error> {
        store::orders_of_user(conn, user, before.unwrap_or(Id(i64::MAX)), limit).await
    }

    /// Every order, newest first, older than `before`.
    ///
    /// # Errors
    /// The database's.
    pub async fn orders(&self, conn: &mut Conn, state: Option<State>, before: Option<Id>, limit: i64) -> Result<Vec<Order>, sqlx::Error> {
        store::orders(conn, state, before.unwrap_or(Id(i64::MAX)), limit).await
    }
}
