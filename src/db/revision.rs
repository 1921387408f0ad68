//! How the in-memory snapshots learn of changes: every topic has a number that grows with each change to it.
//!
//! A writer bumps its topic inside the transaction that makes the change. The topic's row stays locked until that
//! transaction ends, so the order of the numbers is the order of the commits: whoever has read number `n` misses nothing at or
//! under `n`. Take the locks on other rows that may be shared (a user's, say) before the bump, never after it.

use super::Conn;

crate::statements! {
    BUMP = "INSERT INTO revision (topic, n) VALUES ($1, 1) ON CONFLICT (topic) DO UPDATE SET n = revision.n + 1 RETURNING n";
    CURRENT = "SELECT topic, n FROM revision";
}

/// What changes together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// API keys, and what about their owners decides whether they work.
    Keys,
    /// Models and prices.
    Catalog,
    /// Upstream connections.
    Channels,
    /// The shop's settings.
    Settings,
    /// What customers have bought of plans.
    Plans,
    /// At which balances somebody wants to be woken.
    Balances,
}

impl Topic {
    const ALL: [Topic; 6] = [Topic::Keys, Topic::Catalog, Topic::Channels, Topic::Settings, Topic::Plans, Topic::Balances];

    fn name(self) -> &'static str {
        match self {
            Topic::Keys => "keys",
            Topic::Catalog => "catalog",
            Topic::Channels => "channels",
            Topic::Settings => "settings",
            Topic::Plans => "plans",
            Topic::Balances => "balances",
        }
    }
}

/// The number of every topic at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Revisions([i64; Topic::ALL.len()]);

impl Revisions {
    /// The topic's number: 0 when nothing was ever changed.
    pub fn of(&self, topic: Topic) -> i64 {
        self.0[topic as usize]
    }
}

/// Announces a change to `topic` when the caller's transaction commits, and returns the change's number.
///
/// # Errors
/// The database's.
pub async fn bump(conn: &mut Conn, topic: Topic) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar::<sqlx::Any, i64>(BUMP).bind(topic.name()).fetch_one(conn).await
}

/// The number of every topic: one small query, for the poller that follows them.
///
/// # Errors
/// The database's.
pub async fn current(conn: &mut Conn) -> Result<Revisions, sqlx::Error> {
    let rows = sqlx::query_as::<sqlx::Any, (String, i64)>(CURRENT).fetch_all(conn).await?;
    let mut revisions = Revisions::default();
    for (name, n) in rows {
        // A topic of a newer build that shares the database is none of ours.
        if let Some(topic) = Topic::ALL.into_iter().find(|topic| topic.name() == name) {
            revisions.0[topic as usize] = n;
        }
    }
    Ok(revisions)
}
