//! The SQL of orders, of providers' messages, of refunds and of disputes.

use super::order::{Method, NewRow, Order, State, What};
use super::provider::{DisputeState, Incoming};
use crate::db::Conn;
use crate::kernel::{Currency, Id, Money, Rate, Usd};
use sqlx::any::AnyRow;
use sqlx::{Any, Row};

/// The columns that [`order`] reads, in its order.
macro_rules! order_columns {
    () => {
        "id, user_id, what, item, details, title, language, method, currency, list_price, price, rate, worth, credit, bonus, state, checkout, checkout_url, payment, \
         subscription, credit_id, bonus_id, refunded, note, created_at, expires_at, paid_at, ended_at"
    };
}

crate::statements! {
    INSERT_ORDER = "INSERT INTO orders (id, user_id, what, item, details, title, language, method, currency, list_price, price, rate, worth, credit, bonus, state, \
        created_at, expires_at, next_look_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, 'pending', $16, $17, $18)";
    ORDER = concat!("SELECT ", order_columns!(), " FROM orders WHERE id = $1");
    /// Takes the row's lock for the rest of the transaction.
    LOCK_ORDER = concat!("UPDATE orders SET refunded = refunded WHERE id = $1 RETURNING ", order_columns!());
    ORDER_OF_PAYMENT = "SELECT id FROM orders WHERE method = $1 AND payment = $2";
    ORDERS_OF_USER = concat!("SELECT ", order_columns!(), " FROM orders WHERE user_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    ORDERS = concat!("SELECT ", order_columns!(), " FROM orders WHERE id < $1 ORDER BY id DESC LIMIT $2");
    ORDERS_IN_STATE = concat!("SELECT ", order_columns!(), " FROM orders WHERE state = $1 AND id < $2 ORDER BY id DESC LIMIT $3");
    COUNT_PAID = "SELECT COUNT(*) FROM orders WHERE user_id = $1 AND paid_at IS NOT NULL";
    PENDING_SUBSCRIPTION = "SELECT id FROM orders WHERE user_id = $1 AND state = 'pending' AND what = 'plan' AND item = $2 AND details = 'subscription' LIMIT 1";
    COUNT_PENDING = "SELECT COUNT(*) FROM orders WHERE user_id = $1 AND state = 'pending'";
    SET_CHECKOUT = "UPDATE orders SET checkout = $2, checkout_url = $3, next_look_at = $4 WHERE id = $1";
    SET_PAYMENT = "UPDATE orders SET payment = COALESCE(payment, $2), subscription = COALESCE(subscription, $3) WHERE id = $1";
    /// What was paid stays paid, whatever comes late.
    MARK_PAID = "UPDATE orders SET state = 'paid', paid_at = $2, ended_at = NULL, checkout_url = NULL WHERE id = $1 AND state IN ('pending', 'expired', 'failed')";
    SET_CREDITS = "UPDATE orders SET credit_id = $2, bonus_id = $3 WHERE id = $1";
    MARK_ENDED = "UPDATE orders SET state = $2, ended_at = $3, checkout_url = NULL WHERE id = $1 AND state = 'pending'";
    SET_STATE = "UPDATE orders SET state = $2 WHERE id = $1";
    SET_REFUNDED = "UPDATE orders SET refunded = $2 WHERE id = $1";
    NOTE = "UPDATE orders SET note = $2 WHERE id = $1";
    DUE_LOOKS = "SELECT id FROM orders WHERE state = 'pending' AND next_look_at <= $1 ORDER BY next_look_at LIMIT $2";
    LOOK_LATER = "UPDATE orders SET next_look_at = $2 WHERE id = $1";

    CUSTOMER = "SELECT customer FROM provider_customer WHERE user_id = $1 AND provider = $2";
    INSERT_CUSTOMER = "INSERT INTO provider_customer (user_id, provider, customer, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    EMAIL = "SELECT email FROM users WHERE id = $1";

    INSERT_EVENT = "INSERT INTO payment_event (id, provider, event, kind, raw, state, source, created_at, received_at, next_attempt_at) \
        VALUES ($1, $2, $3, $4, $5, 'new', $6, $7, $8, $8) ON CONFLICT DO NOTHING";
    EVENT_BY_NAME = "SELECT id FROM payment_event WHERE provider = $1 AND event = $2";
    DUE_EVENTS = "SELECT id FROM payment_event WHERE state = 'new' AND next_attempt_at <= $1 ORDER BY created_at, id LIMIT $2";
    NEW_EVENT = "SELECT raw FROM payment_event WHERE id = $1 AND state = 'new'";
    /// Takes the row's lock: of several who handle it at once, one does.
    TAKE_EVENT = "UPDATE payment_event SET attempts = attempts + 1 WHERE id = $1 AND state = 'new' RETURNING raw, attempts";
    END_EVENT = "UPDATE payment_event SET state = $2, error = $3, order_id = $4, handled_at = $5 WHERE id = $1";
    EVENT_LATER = "UPDATE payment_event SET next_attempt_at = $2, error = $3 WHERE id = $1 AND state = 'new'";
    EVENTS_OF_ORDER = "SELECT id, kind, state, source, created_at, received_at, error FROM payment_event WHERE order_id = $1 ORDER BY id";
    EVENTS_TO_LOOK_AT = "SELECT id, kind, state, source, created_at, received_at, error FROM payment_event WHERE state = 'refused' AND id < $1 ORDER BY id DESC LIMIT $2";

    INSERT_REFUND = "INSERT INTO refund (id, order_id, amount, spent, state, is_theirs, provider_refund, reason, actor_id, created_at, next_attempt_at) \
        VALUES ($1, $2, $3, $4, 'taking', $5, $6, $7, $8, $9, $9)";
    REFUND = "SELECT id, order_id, amount, spent, state, is_theirs, provider_refund, reason, unspent, owed, lost, bonus, error, created_at, done_at FROM refund WHERE id = $1";
    REFUNDS_OF_ORDER = "SELECT id, order_id, amount, spent, state, is_theirs, provider_refund, reason, unspent, owed, lost, bonus, error, created_at, done_at \
        FROM refund WHERE order_id = $1 ORDER BY id";
    DUE_REFUNDS = "SELECT id FROM refund WHERE state IN ('taking', 'sending') AND next_attempt_at <= $1 ORDER BY next_attempt_at LIMIT $2";
    REFUND_TAKEN = "UPDATE refund SET state = $2, unspent = $3, owed = $4, lost = $5, bonus = $6, error = NULL, done_at = $7 WHERE id = $1 AND state = 'taking'";
    REFUND_DONE = "UPDATE refund SET state = 'done', provider_refund = $2, error = NULL, done_at = $3 WHERE id = $1 AND state = 'sending'";
    REFUND_FAILED = "UPDATE refund SET state = 'failed', error = $2, done_at = $3 WHERE id = $1 AND state IN ('sending', 'done')";
    REFUND_LATER = "UPDATE refund SET attempts = attempts + 1, next_attempt_at = $2, error = $3 WHERE id = $1";
    REFUND_ATTEMPTS = "SELECT attempts FROM refund WHERE id = $1";

    DISPUTE = "SELECT id, order_id, amount, state, is_settled, reason, answer_by, unspent, owed, created_at, ended_at FROM dispute WHERE provider = $1 AND theirs = $2";
    DISPUTE_BY_ID = "SELECT id, order_id, amount, state, is_settled, reason, answer_by, unspent, owed, created_at, ended_at FROM dispute WHERE id = $1";
    DISPUTES_OF_ORDER = "SELECT id, order_id, amount, state, is_settled, reason, answer_by, unspent, owed, created_at, ended_at FROM dispute WHERE order_id = $1 ORDER BY id";
    INSERT_DISPUTE = "INSERT INTO dispute (id, order_id, provider, theirs, amount, state, reason, answer_by, created_at, next_attempt_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    SET_DISPUTE = "UPDATE dispute SET state = $2, amount = $3, answer_by = $4, ended_at = $5, next_attempt_at = $6 WHERE id = $1";
    DISPUTE_SETTLED = "UPDATE dispute SET is_settled = 1, unspent = $2, owed = $3 WHERE id = $1 AND is_settled = 0";
    DISPUTE_LATER = "UPDATE dispute SET next_attempt_at = $2 WHERE id = $1";
    DUE_DISPUTES = "SELECT id FROM dispute WHERE state = 'lost' AND is_settled = 0 AND next_attempt_at <= $1 ORDER BY next_attempt_at LIMIT $2";
}

fn order(row: &AnyRow) -> Result<Order, sqlx::Error> {
    let id = |column| row.try_get::<Option<i64>, _>(column).map(|id| id.map(Id));
    let unknown = |what: &str, word: &str| sqlx::Error::Decode(format!("{what} {word:?}").into());
    let (what, method, currency, state): (String, String, String, String) = (row.try_get(2)?, row.try_get(7)?, row.try_get(8)?, row.try_get(15)?);
    let currency: Currency = currency.parse().map_err(|_| unknown("currency", &currency))?;
    let money = |column| row.try_get(column).map(|minor| Money::new(minor, currency));
    Ok(Order {
        id: Id(row.try_get(0)?),
        user: Id(row.try_get(1)?),
        what: What::from_words(&what, id(3)?).ok_or_else(|| unknown("order", &what))?,
        details: row.try_get(4)?,
        title: row.try_get(5)?,
        language: row.try_get(6)?,
        method: Method::from_word(&method),
        list_price: money(9)?,
        price: money(10)?,
        rate: Rate::from_nanos(row.try_get(11)?).ok_or_else(|| unknown("rate", "0"))?,
        worth: Usd(row.try_get(12)?),
        credit: Usd(row.try_get(13)?),
        bonus: Usd(row.try_get(14)?),
        state: State::from_word(&state).ok_or_else(|| unknown("state", &state))?,
        checkout: row.try_get(16)?,
        checkout_url: row.try_get(17)?,
        payment: row.try_get(18)?,
        subscription: row.try_get(19)?,
        credit_id: id(20)?,
        bonus_id: id(21)?,
        refunded: money(22)?,
        note: row.try_get(23)?,
        created_at: row.try_get(24)?,
        expires_at: row.try_get(25)?,
        paid_at: row.try_get(26)?,
        ended_at: row.try_get(27)?,
    })
}

pub(super) async fn insert_order(conn: &mut Conn, id: Id, new: &NewRow, now: i64, expires_at: i64, next_look_at: i64) -> Result<(), sqlx::Error> {
    let (what, item) = new.what.words();
    sqlx::query(INSERT_ORDER)
        .bind(id.0)
        .bind(new.user.0)
        .bind(what)
        .bind(item.map(|item| item.0))
        .bind(new.details.clone())
        .bind(new.title.clone())
        .bind(new.language.clone())
        .bind(new.method.word().to_owned())
        .bind(new.price.currency.code().to_owned())
        .bind(new.list_price.minor)
        .bind(new.price.minor)
        .bind(new.rate.nanos())
        .bind(new.worth.0)
        .bind(new.credit.0)
        .bind(new.bonus.0)
        .bind(now)
        .bind(expires_at)
        .bind(next_look_at)
        .execute(conn)
        .await
        .map(drop)
}

pub(super) async fn find_order(conn: &mut Conn, id: Id) -> Result<Option<Order>, sqlx::Error> {
    sqlx::query(ORDER).bind(id.0).fetch_optional(conn).await?.as_ref().map(order).transpose()
}

/// The order, locked for the rest of the transaction.
pub(super) async fn lock_order(conn: &mut Conn, id: Id) -> Result<Option<Order>, sqlx::Error> {
    sqlx::query(LOCK_ORDER).bind(id.0).fetch_optional(conn).await?.as_ref().map(order).transpose()
}

pub(super) async fn order_of_payment(conn: &mut Conn, method: &str, payment: &str) -> Result<Option<Id>, sqlx::Error> {
    Ok(sqlx::query_scalar::<Any, i64>(ORDER_OF_PAYMENT).bind(method.to_owned()).bind(payment.to_owned()).fetch_optional(conn).await?.map(Id))
}

pub(super) async fn orders_of_user(conn: &mut Conn, user: Id, before: Id, limit: i64) -> Result<Vec<Order>, sqlx::Error> {
    sqlx::query(ORDERS_OF_USER).bind(user.0).bind(before.0).bind(limit).fetch_all(conn).await?.iter().map(order).collect()
}

pub(super) async fn orders(conn: &mut Conn, state: Option<State>, before: Id, limit: i64) -> Result<Vec<Order>, sqlx::Error> {
    let query = match state {
        Some(state) => sqlx::query(ORDERS_IN_STATE).bind(state.word()),
        None => sqlx::query(ORDERS),
    };
    query.bind(before.0).bind(limit).fetch_all(conn).await?.iter().map(order).collect()
}

pub(super) async fn count_paid(conn: &mut Conn, user: Id) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT_PAID).bind(user.0).fetch_one(conn).await
}

pub(super) async fn count_pending(conn: &mut Conn, user: Id) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(COUNT_PENDING).bind(user.0).fetch_one(conn).await
}

/// The order with which a customer is about to subscribe to a plan.
pub(super) async fn pending_subscription(conn: &mut Conn, user: Id, plan: Id) -> Result<Option<Id>, sqlx::Error> {
    Ok(sqlx::query_scalar::<Any, i64>(PENDING_SUBSCRIPTION).bind(user.0).bind(plan.0).fetch_optional(conn).await?.map(Id))
}

pub(super) async fn set_checkout(conn: &mut Conn, id: Id, checkout: &str, url: Option<&str>, next_look_at: i64) -> Result<(), sqlx::Error> {
    let query = sqlx::query(SET_CHECKOUT).bind(id.0).bind(checkout.to_owned()).bind(url.map(str::to_owned)).bind(next_look_at);
    query.execute(conn).await.map(drop)
}

pub(super) async fn set_payment(conn: &mut Conn, id: Id, payment: Option<&str>, subscription: Option<&str>) -> Result<(), sqlx::Error> {
    let query = sqlx::query(SET_PAYMENT).bind(id.0).bind(payment.map(str::to_owned)).bind(subscription.map(str::to_owned));
    query.execute(conn).await.map(drop)
}

/// Whether it was not paid before.
pub(super) async fn mark_paid(conn: &mut Conn, id: Id, now: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(MARK_PAID).bind(id.0).bind(now).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn set_credits(conn: &mut Conn, id: Id, credit: Option<Id>, bonus: Option<Id>) -> Result<(), sqlx::Error> {
    sqlx::query(SET_CREDITS).bind(id.0).bind(credit.map(|id| id.0)).bind(bonus.map(|id| id.0)).execute(conn).await.map(drop)
}

/// Ends a pending order unpaid. Whether it was pending.
pub(super) async fn mark_ended(conn: &mut Conn, id: Id, state: State, now: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(MARK_ENDED).bind(id.0).bind(state.word()).bind(now).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn set_state(conn: &mut Conn, id: Id, state: State) -> Result<(), sqlx::Error> {
    sqlx::query(SET_STATE).bind(id.0).bind(state.word()).execute(conn).await.map(drop)
}

pub(super) async fn set_refunded(conn: &mut Conn, id: Id, minor: i64) -> Result<(), sqlx::Error> {
    sqlx::query(SET_REFUNDED).bind(id.0).bind(minor).execute(conn).await.map(drop)
}

pub(super) async fn note(conn: &mut Conn, id: Id, text: &str) -> Result<(), sqlx::Error> {
    sqlx::query(NOTE).bind(id.0).bind(text.to_owned()).execute(conn).await.map(drop)
}

/// Orders of which nothing was heard, and that should be looked at now.
pub(super) async fn due_looks(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<Id>, sqlx::Error> {
    ids(sqlx::query_scalar(DUE_LOOKS).bind(now).bind(limit).fetch_all(conn).await)
}

pub(super) async fn look_later(conn: &mut Conn, id: Id, at: i64) -> Result<(), sqlx::Error> {
    sqlx::query(LOOK_LATER).bind(id.0).bind(at).execute(conn).await.map(drop)
}

fn ids(rows: Result<Vec<i64>, sqlx::Error>) -> Result<Vec<Id>, sqlx::Error> {
    rows.map(|rows| rows.into_iter().map(Id).collect())
}

/// The provider's customer for one of ours.
pub(super) async fn customer(conn: &mut Conn, user: Id, provider: &str) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(CUSTOMER).bind(user.0).bind(provider.to_owned()).fetch_optional(conn).await
}

pub(super) async fn insert_customer(conn: &mut Conn, user: Id, provider: &str, customer: &str, now: i64) -> Result<(), sqlx::Error> {
    let query = sqlx::query(INSERT_CUSTOMER).bind(user.0).bind(provider.to_owned()).bind(customer.to_owned()).bind(now);
    query.execute(conn).await.map(drop)
}

pub(super) async fn email(conn: &mut Conn, user: Id) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(EMAIL).bind(user.0).fetch_optional(conn).await
}

/// Stores a message. None when it was stored before.
pub(super) async fn insert_event(conn: &mut Conn, id: Id, provider: &str, event: &Incoming, source: &str, now: i64) -> Result<bool, sqlx::Error> {
    let raw = String::from_utf8_lossy(&event.raw).into_owned();
    let query = sqlx::query(INSERT_EVENT).bind(id.0).bind(provider.to_owned()).bind(event.id.clone()).bind(event.kind.clone()).bind(raw);
    Ok(query.bind(source.to_owned()).bind(event.created_at).bind(now).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn event_by_name(conn: &mut Conn, provider: &str, event: &str) -> Result<Option<Id>, sqlx::Error> {
    Ok(sqlx::query_scalar::<Any, i64>(EVENT_BY_NAME).bind(provider.to_owned()).bind(event.to_owned()).fetch_optional(conn).await?.map(Id))
}

pub(super) async fn due_events(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<Id>, sqlx::Error> {
    ids(sqlx::query_scalar(DUE_EVENTS).bind(now).bind(limit).fetch_all(conn).await)
}

/// The text of a message that nobody has handled.
pub(super) async fn new_event(conn: &mut Conn, id: Id) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar::<Any, String>(NEW_EVENT).bind(id.0).fetch_optional(conn).await
}

/// Takes a message that nobody has handled: its text, and how many times it was tried with this.
pub(super) async fn take_event(conn: &mut Conn, id: Id) -> Result<Option<(String, i64)>, sqlx::Error> {
    sqlx::query_as::<Any, _>(TAKE_EVENT).bind(id.0).fetch_optional(conn).await
}

pub(super) async fn end_event(conn: &mut Conn, id: Id, state: &'static str, error: Option<&str>, order: Option<Id>, now: i64) -> Result<(), sqlx::Error> {
    let query = sqlx::query(END_EVENT).bind(id.0).bind(state).bind(error.map(str::to_owned)).bind(order.map(|id| id.0)).bind(now);
    query.execute(conn).await.map(drop)
}

pub(super) async fn event_later(conn: &mut Conn, id: Id, at: i64, error: &str) -> Result<(), sqlx::Error> {
    sqlx::query(EVENT_LATER).bind(id.0).bind(at).bind(error.to_owned()).execute(conn).await.map(drop)
}

/// A message as the admin sees it.
#[derive(Clone, Debug)]
pub struct EventView {
    /// Its row.
    pub id: Id,
    /// The provider's word for what happened.
    pub kind: String,
    /// `new`, `done`, `ignored` or `refused`.
    pub state: String,
    /// It was lost, and fetched later.
    pub was_fetched: bool,
    /// When it happened.
    pub created_at: i64,
    /// When it came.
    pub received_at: i64,
    /// What is wrong with it.
    pub error: Option<String>,
}

fn event_view(row: &AnyRow) -> Result<EventView, sqlx::Error> {
    let source: String = row.try_get(3)?;
    Ok(EventView {
        id: Id(row.try_get(0)?),
        kind: row.try_get(1)?,
        state: row.try_get(2)?,
        was_fetched: source == "fetched",
        created_at: row.try_get(4)?,
        received_at: row.try_get(5)?,
        error: row.try_get(6)?,
    })
}

pub(super) async fn events_of_order(conn: &mut Conn, order: Id) -> Result<Vec<EventView>, sqlx::Error> {
    sqlx::query(EVENTS_OF_ORDER).bind(order.0).fetch_all(conn).await?.iter().map(event_view).collect()
}

/// Messages that were believed and could not be acted on, newest first.
pub(super) async fn events_to_look_at(conn: &mut Conn, before: Id, limit: i64) -> Result<Vec<EventView>, sqlx::Error> {
    sqlx::query(EVENTS_TO_LOOK_AT).bind(before.0).bind(limit).fetch_all(conn).await?.iter().map(event_view).collect()
}

/// A refund's row.
#[derive(Clone, Debug)]
pub struct RefundRow {
    /// Its id.
    pub id: Id,
    /// The order.
    pub order: Id,
    /// Minor units of the order's currency.
    pub amount: i64,
    /// What was spent is owed by the customer; else it is the shop's loss.
    pub is_owed: bool,
    /// `taking`, `sending`, `done` or `failed`.
    pub state: String,
    /// It was made at the provider, not here.
    pub is_theirs: bool,
    /// The provider's id.
    pub provider_refund: Option<String>,
    /// Why.
    pub reason: String,
    /// What was left of the credit and was taken.
    pub unspent: Usd,
    /// What the customer owes for it.
    pub owed: Usd,
    /// What the shop has lost.
    pub lost: Usd,
    /// What was taken of what had been given on top.
    pub bonus: Usd,
    /// What is wrong.
    pub error: Option<String>,
    /// When it was made.
    pub created_at: i64,
    /// When it ended.
    pub done_at: Option<i64>,
}

fn refund_row(row: &AnyRow) -> Result<RefundRow, sqlx::Error> {
    let (spent, is_theirs): (String, i64) = (row.try_get(3)?, row.try_get(5)?);
    Ok(RefundRow {
        id: Id(row.try_get(0)?),
        order: Id(row.try_get(1)?),
        amount: row.try_get(2)?,
        is_owed: spent == "owed",
        state: row.try_get(4)?,
        is_theirs: is_theirs == 1,
        provider_refund: row.try_get(6)?,
        reason: row.try_get(7)?,
        unspent: Usd(row.try_get(8)?),
        owed: Usd(row.try_get(9)?),
        lost: Usd(row.try_get(10)?),
        bonus: Usd(row.try_get(11)?),
        error: row.try_get(12)?,
        created_at: row.try_get(13)?,
        done_at: row.try_get(14)?,
    })
}

/// A refund to be.
pub(super) struct NewRefundRow<'a> {
    pub id: Id,
    pub order: Id,
    pub amount: i64,
    pub is_owed: bool,
    pub theirs: Option<&'a str>,
    pub is_theirs: bool,
    pub reason: &'a str,
    pub actor: Option<Id>,
}

pub(super) async fn insert_refund(conn: &mut Conn, new: &NewRefundRow<'_>, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_REFUND)
        .bind(new.id.0)
        .bind(new.order.0)
        .bind(new.amount)
        .bind(if new.is_owed { "owed" } else { "lost" })
        .bind(crate::db::flag(new.is_theirs))
        .bind(new.theirs.map(str::to_owned))
        .bind(new.reason.to_owned())
        .bind(new.actor.map(|id| id.0))
        .bind(now)
        .execute(conn)
        .await
        .map(drop)
}

pub(super) async fn find_refund(conn: &mut Conn, id: Id) -> Result<Option<RefundRow>, sqlx::Error> {
    sqlx::query(REFUND).bind(id.0).fetch_optional(conn).await?.as_ref().map(refund_row).transpose()
}

pub(super) async fn refunds_of_order(conn: &mut Conn, order: Id) -> Result<Vec<RefundRow>, sqlx::Error> {
    sqlx::query(REFUNDS_OF_ORDER).bind(order.0).fetch_all(conn).await?.iter().map(refund_row).collect()
}

pub(super) async fn due_refunds(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<Id>, sqlx::Error> {
    ids(sqlx::query_scalar(DUE_REFUNDS).bind(now).bind(limit).fetch_all(conn).await)
}

/// The credit of a refund was taken.
pub(super) async fn refund_taken(conn: &mut Conn, id: Id, state: &'static str, parts: [Usd; 4], done_at: Option<i64>) -> Result<bool, sqlx::Error> {
    let query = parts.into_iter().fold(sqlx::query(REFUND_TAKEN).bind(id.0).bind(state), |query, part| query.bind(part.0));
    Ok(query.bind(done_at).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn refund_done(conn: &mut Conn, id: Id, theirs: &str, now: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(REFUND_DONE).bind(id.0).bind(theirs.to_owned()).bind(now).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn refund_failed(conn: &mut Conn, id: Id, error: &str, now: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(REFUND_FAILED).bind(id.0).bind(error.to_owned()).bind(now).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn refund_later(conn: &mut Conn, id: Id, at: i64, error: &str) -> Result<(), sqlx::Error> {
    sqlx::query(REFUND_LATER).bind(id.0).bind(at).bind(error.to_owned()).execute(conn).await.map(drop)
}

pub(super) async fn refund_attempts(conn: &mut Conn, id: Id) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(REFUND_ATTEMPTS).bind(id.0).fetch_one(conn).await
}

/// A dispute's row.
#[derive(Clone, Debug)]
pub struct DisputeRow {
    /// Its id.
    pub id: Id,
    /// The order.
    pub order: Id,
    /// Minor units of the order's currency.
    pub amount: i64,
    /// How it stands.
    pub state: DisputeState,
    /// The credit of a lost one was taken.
    pub is_settled: bool,
    /// The provider's word for why.
    pub reason: String,
    /// Until when it can be answered.
    pub answer_by: Option<i64>,
    /// What was left of the credit and was taken.
    pub unspent: Usd,
    /// What the customer owes for it.
    pub owed: Usd,
    /// When it was opened.
    pub created_at: i64,
    /// When it was decided.
    pub ended_at: Option<i64>,
}

/// The word of a state in the database.
pub(super) const fn dispute_word(state: DisputeState) -> &'static str {
    match state {
        DisputeState::Inquiry => "inquiry",
        DisputeState::Open => "open",
        DisputeState::Won => "won",
        DisputeState::Lost => "lost",
    }
}

/// The state of a word in the database.
pub(super) fn dispute_state(word: &str) -> DisputeState {
    match word {
        "inquiry" => DisputeState::Inquiry,
        "won" => DisputeState::Won,
        "lost" => DisputeState::Lost,
        _ => DisputeState::Open,
    }
}

fn dispute_row(row: &AnyRow) -> Result<DisputeRow, sqlx::Error> {
    let (state, settled): (String, i64) = (row.try_get(3)?, row.try_get(4)?);
    Ok(DisputeRow {
        id: Id(row.try_get(0)?),
        order: Id(row.try_get(1)?),
        amount: row.try_get(2)?,
        state: dispute_state(&state),
        is_settled: settled == 1,
        reason: row.try_get(5)?,
        answer_by: row.try_get(6)?,
        unspent: Usd(row.try_get(7)?),
        owed: Usd(row.try_get(8)?),
        created_at: row.try_get(9)?,
        ended_at: row.try_get(10)?,
    })
}

pub(super) async fn find_dispute(conn: &mut Conn, provider: &str, theirs: &str) -> Result<Option<DisputeRow>, sqlx::Error> {
    let query = sqlx::query(DISPUTE).bind(provider.to_owned()).bind(theirs.to_owned());
    query.fetch_optional(conn).await?.as_ref().map(dispute_row).transpose()
}

pub(super) async fn dispute_by_id(conn: &mut Conn, id: Id) -> Result<Option<DisputeRow>, sqlx::Error> {
    sqlx::query(DISPUTE_BY_ID).bind(id.0).fetch_optional(conn).await?.as_ref().map(dispute_row).transpose()
}

pub(super) async fn disputes_of_order(conn: &mut Conn, order: Id) -> Result<Vec<DisputeRow>, sqlx::Error> {
    sqlx::query(DISPUTES_OF_ORDER).bind(order.0).fetch_all(conn).await?.iter().map(dispute_row).collect()
}

pub(super) async fn insert_dispute(conn: &mut Conn, id: Id, order: Id, provider: &str, new: &super::provider::Dispute, now: i64) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_DISPUTE)
        .bind(id.0)
        .bind(order.0)
        .bind(provider.to_owned())
        .bind(new.id.clone())
        .bind(new.amount.minor)
        .bind(dispute_word(new.status))
        .bind(new.reason.clone())
        .bind(new.answer_by)
        .bind(new.created_at)
        .bind(now)
        .execute(conn)
        .await
        .map(drop)
}

pub(super) async fn set_dispute(conn: &mut Conn, id: Id, new: &super::provider::Dispute, ended_at: Option<i64>, now: i64) -> Result<(), sqlx::Error> {
    let query = sqlx::query(SET_DISPUTE).bind(id.0).bind(dispute_word(new.status)).bind(new.amount.minor).bind(new.answer_by);
    query.bind(ended_at).bind(now).execute(conn).await.map(drop)
}

pub(super) async fn dispute_settled(conn: &mut Conn, id: Id, unspent: Usd, owed: Usd) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(DISPUTE_SETTLED).bind(id.0).bind(unspent.0).bind(owed.0).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn dispute_later(conn: &mut Conn, id: Id, at: i64) -> Result<(), sqlx::Error> {
    sqlx::query(DISPUTE_LATER).bind(id.0).bind(at).execute(conn).await.map(drop)
}

pub(super) async fn due_disputes(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<Id>, sqlx::Error> {
    ids(sqlx::query_scalar(DUE_DISPUTES).bind(now).bind(limit).fetch_all(conn).await)
}
