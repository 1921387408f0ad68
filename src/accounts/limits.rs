//! What an admin sets for one user: how much they may ask for and spend, with all their keys together.

use super::{AccountError, Accounts, User, store};
use crate::admin_log;
use crate::db::Conn;
use crate::kernel::Id;
use crate::keys::{self, UserLimits};

/// What was set for somebody. What cannot be read (an edit by hand) was not.
///
/// # Errors
/// The database's.
pub async fn limits(conn: &mut Conn, id: Id) -> Result<UserLimits, sqlx::Error> {
    let text = store::limits(conn, id).await?;
    Ok(UserLimits::read(text.as_deref()).unwrap_or_default())
}

impl Accounts {
    /// Sets somebody's limits. Every node knows within a second.
    ///
    /// # Errors
    /// [`AccountError::NotAllowed`] unless an admin does it; [`AccountError::NotFound`]; or what the database says.
    pub async fn set_limits(&self, actor: &User, target: Id, limits: &UserLimits) -> Result<(), AccountError> {
        if !actor.is_admin() {
            return Err(AccountError::NotAllowed);
        }
        let mut tx = self.db.write().await?;
        let text = limits.write();
        if !store::set_limits(&mut tx, target, text.as_deref()).await? {
            return Err(AccountError::NotFound);
        }
        keys::touch_user(&mut tx, target).await?;
        admin_log::record(&mut tx, &self.kit, Some(actor.id), "user-limited", &target.to_string(), text.as_deref().unwrap_or("defaults")).await?;
        tx.commit().await?;
        Ok(())
    }
}
