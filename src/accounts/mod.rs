//! People: sign-up, passwords, the links that are mailed to them, roles, and who owns the shop.
//!
//! What holds here:
//! - Nobody learns whether an address has an account: known and unknown ones get the same answer, write the same rows in one transaction and
//!   hash the same number of times. Only the mailbox's owner sees the difference.
//! - A mailed link works once. The database has only its hash.
//! - A new password, a lost one and a disabled account end every session: `session_epoch` grows.
//! - An address that was never verified can be signed up again: the last sign-up's password counts, and earlier links are void.
//!
//! Callers: `web` (every page about an account), `app` (the setup link), the command line (`admin create-owner`, `demo`).

mod email;
mod letters;
mod limits;
mod links;
mod log_in;
mod owner;
mod password;
mod people;
mod reset;
mod sign_up;
pub mod store;

pub use email::{BadEmail, Email};
pub use limits::limits;
pub use links::LinkError;
pub use log_in::LogIn;
pub use owner::Claim;
pub use password::{BadPassword, HashError, MAX_CHARS, MIN_CHARS, Password, PasswordHasher};
pub use people::{count, exists_any, find, find_by_email, list};
pub use sign_up::SignUp;

use crate::db::Db;
use crate::i18n::Lang;
use crate::kernel::{Id, Kit};
use crate::ledger::{Books, LedgerError};
use crate::limits::{Limits, TooMany};
use crate::settings;
use std::sync::Arc;

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything, and nobody can take it away in the back office.
    Owner,
    /// The back office.
    Admin,
    /// Their own account.
    Customer,
}

impl Role {
    /// The word in the database.
    pub fn name(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Admin => "admin",
            Role::Customer => "customer",
        }
    }

    /// From the word in the database.
    pub fn parse(text: &str) -> Option<Self> {
        [Role::Owner, Role::Admin, Role::Customer].into_iter().find(|role| role.name() == text)
    }
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The row.
    pub id: Id,
    /// The address as it was typed at sign-up.
    pub email: String,
    /// What they may do.
    pub role: Role,
    /// When the address was proved to be theirs.
    pub verified_at: Option<i64>,
    /// Since when the account is shut.
    pub disabled_at: Option<i64>,
    /// Sessions that carry an older number have ended.
    pub session_epoch: i64,
    /// The language they chose.
    pub locale: Option<String>,
    /// The time zone they chose.
    pub time_zone: Option<String>,
    /// When they signed up.
    pub created_at: i64,
    /// When they last logged in.
    pub last_login_at: Option<i64>,
}

impl User {
    /// Whether they may spend, redeem and create keys: the address is theirs and the account is open.
    pub fn may_spend(&self) -> bool {
        self.verified_at.is_some() && self.disabled_at.is_none()
    }

    /// Whether the back office is open to them.
    pub fn is_admin(&self) -> bool {
        matches!(self.role, Role::Owner | Role::Admin) && self.disabled_at.is_none()
    }

    /// The language to speak to them.
    pub fn lang(&self) -> Lang {
        self.locale.as_deref().and_then(Lang::parse).unwrap_or_default()
    }
}

/// Why something about an account was not done.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
    /// The wallet could not be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A password could not be hashed.
    #[error(transparent)]
    Hash(#[from] HashError),
    /// Too many attempts.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// No such account, or another password: which of the two is not told.
    #[error("the e-mail address or the password is wrong")]
    WrongLogIn,
    /// The password is right, and the account is shut.
    #[error("the account is disabled")]
    Disabled,
    /// A link does not work.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The address is verified already.
    #[error("the address is verified already")]
    AlreadyVerified,
    /// There is no such person.
    #[error("there is no such account")]
    NotFound,
    /// The shop has an owner.
    #[error("the shop has an owner already")]
    OwnerExists,
    /// This person may not do that to that person.
    #[error("that is not allowed")]
    NotAllowed,
}

/// Everything that is done about accounts. Clones share what is inside.
#[derive(Clone, Debug)]
pub struct Accounts {
    db: Db,
    kit: Kit,
    books: Books,
    passwords: PasswordHasher,
    limits: Limits,
    settings: settings::Snapshot,
    public_url: Arc<str>,
}

impl Accounts {
    /// The accounts of `db`. Links in mails begin with `public_url`, which has no slash at its end.
    pub fn new(db: Db, kit: Kit, passwords: PasswordHasher, limits: Limits, settings: settings::Snapshot, public_url: &str) -> Self {
        let books = Books::new(kit.clone());
        Self { db, kit, books, passwords, limits, settings, public_url: public_url.into() }
    }
}
