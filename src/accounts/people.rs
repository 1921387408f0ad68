//! Finding people, and shutting their accounts.

use super::{AccountError, Accounts, Email, Role, User, store};
use crate::admin_log;
use crate::db::Conn;
use crate::kernel::Id;
use crate::keys;

/// The longest page of a list.
const MAX_PAGE: i64 = 200;

/// The person with this id.
///
/// # Errors
/// The database's.
pub async fn find(conn: &mut Conn, id: Id) -> Result<Option<User>, sqlx::Error> {
    store::by_id(conn, id).await
}

/// The person with this address.
///
/// # Errors
/// The database's.
pub async fn find_by_email(conn: &mut Conn, email: &Email) -> Result<Option<User>, sqlx::Error> {
    store::by_key(conn, email.key()).await
}

/// People whose address contains `search`, the latest first, those who came before the row `before`.
///
/// # Errors
/// The database's.
pub async fn list(conn: &mut Conn, search: &str, before: Option<Id>, limit: i64) -> Result<Vec<User>, sqlx::Error> {
    store::list(conn, search.trim(), before.map_or(i64::MAX, |id| id.0), limit.clamp(1, MAX_PAGE)).await
}

/// How many accounts there are.
///
/// # Errors
/// The database's.
pub async fn count(conn: &mut Conn) -> Result<i64, sqlx::Error> {
    store::count(conn).await
}

/// Whether anybody has an account.
///
/// # Errors
/// The database's.
pub async fn exists_any(conn: &mut Conn) -> Result<bool, sqlx::Error> {
    store::any(conn).await
}

impl Accounts {
    /// Shuts somebody's account, or opens it again. Their sessions end, and their keys stop within a second on every node.
    ///
    /// # Errors
    /// [`AccountError::NotAllowed`] for an owner's account, for one's own, and for an admin's unless an owner does it;
    /// [`AccountError::NotFound`]; or what the database says.
    pub async fn set_disabled(&self, actor: &User, target: Id, disabled: bool) -> Result<(), AccountError> {
        let mut tx = self.db.write().await?;
        let user = store::by_id(&mut tx, target).await?.ok_or(AccountError::NotFound)?;
        let outranked = match user.role {
            Role::Owner => false,
            Role::Admin => actor.role == Role::Owner,
            Role::Customer => actor.is_admin(),
        };
        if !outranked || actor.id == target {
            return Err(AccountError::NotAllowed);
        }
        if user.disabled_at.is_some() == disabled {
            return Ok(());
        }
        store::set_disabled(&mut tx, target, disabled.then(|| self.kit.clock.now_ms())).await?;
        keys::touch_user(&mut tx, target).await?;
        let action = if disabled { "user-disabled" } else { "user-enabled" };
        admin_log::record(&mut tx, &self.kit, Some(actor.id), action, &target.to_string(), &user.email).await?;
        tx.commit().await?;
        Ok(())
    }
}
