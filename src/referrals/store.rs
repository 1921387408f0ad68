//! The rows of referrals.

use super::{Link, Referral, Search, State};
use crate::db::{Conn, flag};
use crate::kernel::{Id, Usd};

crate::statements! {
    LINK = "SELECT code, rewarded FROM referrer WHERE user_id = $1";
    INSERT_LINK = "INSERT INTO referrer (user_id, code, source, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    OWNER_OF = "SELECT r.user_id, r.source, u.email_key, u.disabled_at FROM referrer r JOIN users u ON u.id = r.user_id WHERE r.code = $1";
    EMAIL_KEY = "SELECT email_key FROM users WHERE id = $1";
    /// Addresses that begin and end as a mailbox does, of other people.
    LIKE_MAILBOX = "SELECT email_key FROM users WHERE id <> $1 AND email_key LIKE $2 ESCAPE '\\' LIMIT 1000";
    IS_SHUT = "SELECT disabled_at FROM users WHERE id = $1";
    CAME_FROM = "SELECT user_id FROM referral WHERE referrer_id = $1 AND source = $2 LIMIT 1";
    INSERT = "INSERT INTO referral (user_id, referrer_id, person, source, same_source, state, joined_at) VALUES ($1, $2, $3, $4, $5, 'joined', $6) \
              ON CONFLICT DO NOTHING";
    /// The compare-and-set that lets one order earn the reward.
    HOLD = "UPDATE referral SET state = 'held', order_id = $2, due_at = $3, reward = $4, welcome = $5 WHERE user_id = $1 AND state = 'joined'";
    UNDO_ORDER = "UPDATE referral SET state = 'undone', ended_at = $2 WHERE order_id = $1 AND state = 'held'";
    DUE = "SELECT user_id FROM referral WHERE state = 'held' AND due_at <= $1 ORDER BY due_at, user_id LIMIT $2";
    END_HOLD = "UPDATE referral SET state = 'granted', ended_at = $2 WHERE user_id = $1 AND state = 'held' AND due_at <= $2 \
                RETURNING referrer_id, reward, welcome";
    SET_UNDONE = "UPDATE referral SET state = 'undone' WHERE user_id = $1";
    SET_REWARDED = "UPDATE referral SET rewarded = 1 WHERE user_id = $1";
    /// The row's lock orders those who are brought by the same referrer: as many as may find the count low enough.
    COUNT_REWARD = "UPDATE referrer SET rewarded = rewarded + 1 WHERE user_id = $1 AND rewarded < $2";
    BROUGHT_BY = "SELECT r.user_id, u.email, r.referrer_id, b.email, r.state, r.same_source, r.joined_at, r.order_id, r.due_at, r.reward, r.welcome, r.rewarded \
                  FROM referral r JOIN users u ON u.id = r.user_id JOIN users b ON b.id = r.referrer_id \
                  WHERE r.referrer_id = $1 AND r.user_id < $2 ORDER BY r.user_id DESC LIMIT $3";
    SEARCH = "SELECT r.user_id, u.email, r.referrer_id, b.email, r.state, r.same_source, r.joined_at, r.order_id, r.due_at, r.reward, r.welcome, r.rewarded \
              FROM referral r JOIN users u ON u.id = r.user_id JOIN users b ON b.id = r.referrer_id \
              WHERE r.user_id < $1 AND (CAST($2 AS TEXT) = '' OR r.state = CAST($2 AS TEXT)) AND r.same_source >= $3 \
              AND (CAST($4 AS BIGINT) = 0 OR r.referrer_id = CAST($4 AS BIGINT)) ORDER BY r.user_id DESC LIMIT $5";
}

pub(super) async fn link(conn: &mut Conn, user: Id) -> Result<Option<Link>, sqlx::Error> {
    let row: Option<(String, i64)> = sqlx::query_as(LINK).bind(user.0).fetch_optional(conn).await?;
    Ok(row.map(|(code, rewarded)| Link { code, rewarded }))
}

pub(super) async fn insert_link(conn: &mut Conn, user: Id, code: &str, source: &str, at: i64) -> Result<(), sqlx::Error> {
    sqlx::query(INSERT_LINK).bind(user.0).bind(code).bind(source).bind(at).execute(conn).await?;
    Ok(())
}

/// Whose a link is.
pub(super) struct Owner {
    pub user: Id,
    pub source: String,
    pub email_key: String,
    pub disabled_at: Option<i64>,
}

pub(super) async fn owner_of(conn: &mut Conn, code: &str) -> Result<Option<Owner>, sqlx::Error> {
    let row: Option<(i64, String, String, Option<i64>)> = sqlx::query_as(OWNER_OF).bind(code).fetch_optional(conn).await?;
    Ok(row.map(|(user, source, email_key, disabled_at)| Owner { user: Id(user), source, email_key, disabled_at }))
}

pub(super) async fn email_key(conn: &mut Conn, user: Id) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(EMAIL_KEY).bind(user.0).fetch_optional(conn).await
}

/// Addresses of others that may lead to a mailbox.
pub(super) async fn like_mailbox(conn: &mut Conn, user: Id, mailbox: &str) -> Result<Vec<String>, sqlx::Error> {
    let (local, host) = mailbox.rsplit_once('@').unwrap_or((mailbox, ""));
    let plain = |text: &str| text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    let pattern = format!("{}%@{}", plain(local), plain(host));
    sqlx::query_scalar(LIKE_MAILBOX).bind(user.0).bind(pattern).fetch_all(conn).await
}

/// Whether there is no such account, or it is shut.
pub(super) async fn is_shut(conn: &mut Conn, user: Id) -> Result<bool, sqlx::Error> {
    let row: Option<(Option<i64>,)> = sqlx::query_as(IS_SHUT).bind(user.0).fetch_optional(conn).await?;
    Ok(row.is_none_or(|(disabled_at,)| disabled_at.is_some()))
}

pub(super) async fn came_from(conn: &mut Conn, referrer: Id, source: &str) -> Result<bool, sqlx::Error> {
    let row: Option<i64> = sqlx::query_scalar(CAME_FROM).bind(referrer.0).bind(source).fetch_optional(conn).await?;
    Ok(row.is_some())
}

/// Whether the row is new: neither the customer nor their mailbox came before.
pub(super) async fn insert(conn: &mut Conn, user: Id, referrer: Id, person: &str, source: &str, same: bool, at: i64) -> Result<bool, sqlx::Error> {
    let query = sqlx::query(INSERT).bind(user.0).bind(referrer.0).bind(person).bind(source).bind(flag(same)).bind(at);
    Ok(query.execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn hold(conn: &mut Conn, user: Id, order: Id, due_at: i64, reward: Usd, welcome: Usd) -> Result<bool, sqlx::Error> {
    let query = sqlx::query(HOLD).bind(user.0).bind(order.0).bind(due_at).bind(reward.0).bind(welcome.0);
    Ok(query.execute(conn).await?.rows_affected() == 1)
}

pub(super) async fn undo_order(conn: &mut Conn, order: Id, at: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(UNDO_ORDER).bind(order.0).bind(at).execute(conn).await?.rows_affected() == 1)
}

/// Who was brought and whose reward has been held long enough.
pub(super) async fn due(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<Id>, sqlx::Error> {
    let ids: Vec<i64> = sqlx::query_scalar(DUE).bind(now).bind(limit).fetch_all(conn).await?;
    Ok(ids.into_iter().map(Id).collect())
}

/// A reward that is held no longer.
pub(super) struct Held {
    pub referrer: Id,
    pub reward: Usd,
    pub welcome: Usd,
}

pub(super) async fn end_hold(conn: &mut Conn, user: Id, now: i64) -> Result<Option<Held>, sqlx::Error> {
    let row: Option<(i64, i64, i64)> = sqlx::query_as(END_HOLD).bind(user.0).bind(now).fetch_optional(conn).await?;
    Ok(row.map(|(referrer, reward, welcome)| Held { referrer: Id(referrer), reward: Usd(reward), welcome: Usd(welcome) }))
}

pub(super) async fn set_undone(conn: &mut Conn, user: Id) -> Result<(), sqlx::Error> {
    sqlx::query(SET_UNDONE).bind(user.0).execute(conn).await?;
    Ok(())
}

pub(super) async fn set_rewarded(conn: &mut Conn, user: Id) -> Result<(), sqlx::Error> {
    sqlx::query(SET_REWARDED).bind(user.0).execute(conn).await?;
    Ok(())
}

/// Counts one more reward of a referrer; false when that would be more than `cap`.
pub(super) async fn count_reward(conn: &mut Conn, referrer: Id, cap: i64) -> Result<bool, sqlx::Error> {
    Ok(sqlx::query(COUNT_REWARD).bind(referrer.0).bind(cap).execute(conn).await?.rows_affected() == 1)
}

type Row = (i64, String, i64, String, String, i64, i64, Option<i64>, Option<i64>, i64, i64, i64);

fn view((user, email, referrer, referrer_email, word, same, joined_at, order, due_at, reward, welcome, rewarded): Row) -> Result<Referral, sqlx::Error> {
    Ok(Referral {
        user: Id(user),
        email,
        referrer: Id(referrer),
        referrer_email,
        state: State::from_word(&word).ok_or_else(|| sqlx::Error::Decode(format!("the state {word} is unknown").into()))?,
        same_source: same != 0,
        joined_at,
        order: order.map(Id),
        due_at,
        reward: Usd(reward),
        welcome: Usd(welcome),
        rewarded: rewarded != 0,
    })
}

pub(super) async fn brought_by(conn: &mut Conn, referrer: Id, before: Id, limit: i64) -> Result<Vec<Referral>, sqlx::Error> {
    let query = sqlx::query_as::<sqlx::Any, Row>(BROUGHT_BY).bind(referrer.0).bind(before.0).bind(limit);
    query.fetch_all(conn).await?.into_iter().map(view).collect()
}

pub(super) async fn search(conn: &mut Conn, wanted: Search, before: Id, limit: i64) -> Result<Vec<Referral>, sqlx::Error> {
    let query = sqlx::query_as::<sqlx::Any, Row>(SEARCH).bind(before.0).bind(wanted.state.map_or("", State::word)).bind(flag(wanted.same_source));
    query.bind(wanted.referrer.map_or(0, |id| id.0)).bind(limit).fetch_all(conn).await?.into_iter().map(view).collect()
}
