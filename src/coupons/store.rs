//! The rows of coupons.

use super::terms::{Amounts, Applies, Off, Terms};
use super::{CouponView, Discount, Draft, UseState, UseView};
use crate::db::{self, Conn, flag};
use crate::kernel::{Currency, Id, Money, Usd};
use sqlx::{Row, any::AnyRow};
use std::collections::BTreeMap;

crate::statements! {
    INSERT = "INSERT INTO coupon (id, code, code_key, note, kind, percent, amounts, bonus, minimums, applies, first_only, starts_at, ends_at, total_limit, \
              per_customer, enabled, created_by, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";
    UPDATE = "UPDATE coupon SET code = $2, code_key = $3, note = $4, kind = $5, percent = $6, amounts = $7, bonus = $8, minimums = $9, applies = $10, \
              first_only = $11, starts_at = $12, ends_at = $13, total_limit = $14, per_customer = $15, enabled = $16 WHERE id = $1";
    BY_ID = "SELECT id, code, note, kind, percent, amounts, bonus, minimums, applies, first_only, starts_at, ends_at, total_limit, per_customer, enabled, \
             taken, used, created_at FROM coupon WHERE id = $1";
    BY_KEY = "SELECT id, code, note, kind, percent, amounts, bonus, minimums, applies, first_only, starts_at, ends_at, total_limit, per_customer, enabled, \
              taken, used, created_at FROM coupon WHERE code_key = $1";
    /// An update that changes nothing: the row is locked until the transaction ends, on both engines.
    LOCK = "UPDATE coupon SET taken = taken WHERE code_key = $1 RETURNING id, code, note, kind, percent, amounts, bonus, minimums, applies, first_only, \
            starts_at, ends_at, total_limit, per_customer, enabled, taken, used, created_at";
    LIST = "SELECT id, code, note, kind, percent, amounts, bonus, minimums, applies, first_only, starts_at, ends_at, total_limit, per_customer, enabled, \
            taken, used, created_at FROM coupon WHERE id < $1 AND (LOWER(code) LIKE $2 ESCAPE '\\' OR LOWER(note) LIKE $2 ESCAPE '\\') ORDER BY id DESC LIMIT $3";
    TAKE = "UPDATE coupon SET taken = taken + $2 WHERE id = $1";
    NOTE_USED = "UPDATE coupon SET used = used + 1 WHERE id = $1";
    COUNT = "SELECT n FROM coupon_count WHERE coupon_id = $1 AND user_id = $2";
    ADD_COUNT = "INSERT INTO coupon_count (coupon_id, user_id, n) VALUES ($1, $2, $3) ON CONFLICT (coupon_id, user_id) DO UPDATE SET n = coupon_count.n + excluded.n";
    TAKE_COUNT = "UPDATE coupon_count SET n = n - 1 WHERE coupon_id = $1 AND user_id = $2 AND n > 0";
    CLAIM_FIRST = "INSERT INTO coupon_first (user_id, order_id) VALUES ($1, $2) ON CONFLICT (user_id) DO NOTHING";
    FREE_FIRST = "DELETE FROM coupon_first WHERE order_id = $1";
    INSERT_USE = "INSERT INTO coupon_use (order_id, coupon_id, user_id, state, currency, off, bonus, at) VALUES ($1, $2, $3, 'reserved', $4, $5, $6, $7) \
                  ON CONFLICT (order_id) DO UPDATE SET coupon_id = excluded.coupon_id, state = 'reserved', currency = excluded.currency, off = excluded.off, \
                  bonus = excluded.bonus, at = excluded.at";
    USE_OF = "SELECT coupon_id, user_id, state, currency, off, bonus FROM coupon_use WHERE order_id = $1";
    LOCK_USE = "UPDATE coupon_use SET state = state WHERE order_id = $1 RETURNING coupon_id, user_id, state, currency, off, bonus";
    SET_USE = "UPDATE coupon_use SET state = $2 WHERE order_id = $1";
    USES = "SELECT c.order_id, c.user_id, u.email, c.state, c.currency, c.off, c.bonus, c.at FROM coupon_use c LEFT JOIN users u ON u.id = c.user_id \
            WHERE c.coupon_id = $1 AND c.order_id < $2 ORDER BY c.order_id DESC LIMIT $3";
}

type Query = sqlx::query::Query<'static, sqlx::Any, sqlx::any::AnyArguments>;

/// The columns that a form sets, from `code` to `enabled`.
fn bind(query: Query, draft: &Draft) -> Query {
    let (kind, percent, amounts, bonus) = match &draft.terms.off {
        Off::Percent(share) => ("percent", *share, Amounts::new(), Usd::ZERO),
        Off::Amount(amounts) => ("amount", 0, amounts.clone(), Usd::ZERO),
        Off::Bonus(bonus) => ("bonus", 0, Amounts::new(), *bonus),
    };
    let query = query.bind(draft.code.clone()).bind(draft.key()).bind(draft.note.clone()).bind(kind).bind(percent).bind(json(&amounts)).bind(bonus.0);
    let applies = serde_json::json!(draft.terms.applies).to_string();
    let query = query.bind(json(&draft.terms.minimums)).bind(applies).bind(flag(draft.first_only)).bind(draft.starts_at).bind(draft.ends_at);
    query.bind(draft.total_limit).bind(draft.per_customer).bind(flag(draft.enabled))
}

pub(super) async fn insert(conn: &mut Conn, id: Id, draft: &Draft, by: Id, at: i64) -> Result<(), sqlx::Error> {
    bind(sqlx::query(INSERT).bind(id.0), draft).bind(by.0).bind(at).execute(conn).await?;
    Ok(())
}

/// Whether there is such a coupon.
pub(super) async fn update(conn: &mut Conn, id: Id, draft: &Draft) -> Result<bool, sqlx::Error> {
    Ok(bind(sqlx::query(UPDATE).bind(id.0), draft).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn by_id(conn: &mut Conn, id: Id) -> Result<Option<CouponView>, sqlx::Error> {
    sqlx::query(BY_ID).bind(id.0).fetch_optional(conn).await?.map(view).transpose()
}

pub(super) async fn by_key(conn: &mut Conn, key: &str) -> Result<Option<CouponView>, sqlx::Error> {
    sqlx::query(BY_KEY).bind(key.to_owned()).fetch_optional(conn).await?.map(view).transpose()
}

/// The coupon with this key, its row locked.
pub(super) async fn lock(conn: &mut Conn, key: &str) -> Result<Option<CouponView>, sqlx::Error> {
    sqlx::query(LOCK).bind(key.to_owned()).fetch_optional(conn).await?.map(view).transpose()
}

pub(super) async fn list(conn: &mut Conn, search: &str, before: Id, limit: i64) -> Result<Vec<CouponView>, sqlx::Error> {
    let query = sqlx::query(LIST).bind(before.0).bind(db::contains(search)).bind(limit);
    query.fetch_all(conn).await?.into_iter().map(view).collect()
}

/// Counts one more reservation of a coupon by a customer, or one less.
pub(super) async fn take(conn: &mut Conn, coupon: Id, user: Id, n: i64) -> Result<(), sqlx::Error> {
    sqlx::query(TAKE).bind(coupon.0).bind(n).execute(&mut *conn).await?;
    if n > 0 {
        sqlx::query(ADD_COUNT).bind(coupon.0).bind(user.0).bind(n).execute(conn).await?;
    } else {
        sqlx::query(TAKE_COUNT).bind(coupon.0).bind(user.0).execute(conn).await?;
    }
    Ok(())
}

pub(super) async fn note_used(conn: &mut Conn, coupon: Id) -> Result<(), sqlx::Error> {
    sqlx::query(NOTE_USED).bind(coupon.0).execute(conn).await?;
    Ok(())
}

/// How often a customer has reserved or used a coupon.
pub(super) async fn count(conn: &mut Conn, coupon: Id, user: Id) -> Result<i64, sqlx::Error> {
    Ok(sqlx::query_scalar(COUNT).bind(coupon.0).bind(user.0).fetch_optional(conn).await?.unwrap_or(0))
}

/// Whether this order is now the one that may be the customer's first.
pub(super) async fn claim_first(conn: &mut Conn, user: Id, order: Id) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(CLAIM_FIRST).bind(user.0).bind(order.0).execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn free_first(conn: &mut Conn, order: Id) -> Result<(), sqlx::Error> {
    sqlx::query(FREE_FIRST).bind(order.0).execute(conn).await?;
    Ok(())
}

pub(super) async fn insert_use(conn: &mut Conn, order: Id, user: Id, discount: &Discount, at: i64) -> Result<(), sqlx::Error> {
    let query = sqlx::query(INSERT_USE).bind(order.0).bind(discount.coupon.0).bind(user.0).bind(discount.off.currency.code().to_owned());
    query.bind(discount.off.minor).bind(discount.bonus.0).bind(at).execute(conn).await?;
    Ok(())
}

/// A coupon in an order.
pub(super) struct Use {
    pub coupon: Id,
    pub user: Id,
    pub state: UseState,
    pub off: Money,
    pub bonus: Usd,
}

type UseRow = (i64, i64, String, String, i64, i64);

fn read_use((coupon, user, word, code, off, bonus): UseRow) -> Result<Use, sqlx::Error> {
    Ok(Use { coupon: Id(coupon), user: Id(user), state: state(&word)?, off: Money::new(off, currency(&code)?), bonus: Usd(bonus) })
}

pub(super) async fn use_of(conn: &mut Conn, order: Id) -> Result<Option<Use>, sqlx::Error> {
    sqlx::query_as::<sqlx::Any, UseRow>(USE_OF).bind(order.0).fetch_optional(conn).await?.map(read_use).transpose()
}

/// The coupon of an order, its row locked.
pub(super) async fn lock_use(conn: &mut Conn, order: Id) -> Result<Option<Use>, sqlx::Error> {
    sqlx::query_as::<sqlx::Any, UseRow>(LOCK_USE).bind(order.0).fetch_optional(conn).await?.map(read_use).transpose()
}

pub(super) async fn set_use(conn: &mut Conn, order: Id, state: UseState) -> Result<(), sqlx::Error> {
    sqlx::query(SET_USE).bind(order.0).bind(state.word()).execute(conn).await?;
    Ok(())
}

type UseViewRow = (i64, i64, Option<String>, String, String, i64, i64, i64);

pub(super) async fn uses(conn: &mut Conn, coupon: Id, before: Id, limit: i64) -> Result<Vec<UseView>, sqlx::Error> {
    let rows = sqlx::query_as::<sqlx::Any, UseViewRow>(USES).bind(coupon.0).bind(before.0).bind(limit).fetch_all(conn).await?;
    let view = |(order, user, email, word, code, off, bonus, at): UseViewRow| {
        let off = Money::new(off, currency(&code)?);
        Ok(UseView { order: Id(order), user: Id(user), email, state: state(&word)?, off, bonus: Usd(bonus), at })
    };
    rows.into_iter().map(view).collect()
}

fn view(row: AnyRow) -> Result<CouponView, sqlx::Error> {
    let number = |name: &str| row.try_get::<i64, _>(name);
    let text = |name: &str| row.try_get::<String, _>(name);
    let off = match row.try_get("kind")? {
        "percent" => Off::Percent(number("percent")?),
        "amount" => Off::Amount(amounts(&text("amounts")?)?),
        "bonus" => Off::Bonus(Usd(number("bonus")?)),
        other => return Err(unknown("kind of coupon", other)),
    };
    let applies: Applies = serde_json::from_str(&text("applies")?).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let draft = Draft {
        code: text("code")?,
        note: text("note")?,
        terms: Terms { off, applies, minimums: amounts(&text("minimums")?)? },
        first_only: number("first_only")? != 0,
        starts_at: number("starts_at")?,
        ends_at: number("ends_at")?,
        total_limit: row.try_get("total_limit")?,
        per_customer: row.try_get("per_customer")?,
        enabled: number("enabled")? != 0,
    };
    Ok(CouponView { id: Id(number("id")?), draft, taken: number("taken")?, used: number("used")?, created_at: number("created_at")? })
}

fn json(amounts: &Amounts) -> String {
    let by_code: BTreeMap<&str, i64> = amounts.iter().map(|(currency, minor)| (currency.code(), *minor)).collect();
    serde_json::json!(by_code).to_string()
}

fn amounts(text: &str) -> Result<Amounts, sqlx::Error> {
    let by_code: BTreeMap<String, i64> = serde_json::from_str(text).map_err(|error| sqlx::Error::Decode(error.into()))?;
    by_code.into_iter().map(|(code, minor)| Ok((currency(&code)?, minor))).collect()
}

fn currency(code: &str) -> Result<Currency, sqlx::Error> {
    code.parse().map_err(|_| unknown("currency", code))
}

fn state(word: &str) -> Result<UseState, sqlx::Error> {
    UseState::from_word(word).ok_or_else(|| unknown("state of a coupon", word))
}

fn unknown(what: &str, word: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("the {what} {word} is unknown").into())
}
