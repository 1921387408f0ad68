//! A forgotten password.

use super::links::{self, Kind};
use super::{AccountError, Accounts, Email, Password, User, store};
use crate::i18n::Lang;
use crate::kernel::Id;
use crate::limits::Attempt;
use crate::mail::{self, Recipient};

impl Accounts {
    /// Mails a link to choose another password, if the address has an account that is open. If not, the same rows are written for nobody.
    ///
    /// # Errors
    /// [`AccountError::TooMany`], or what the database says.
    pub async fn request_reset(&self, email: &Email, lang: Lang, source: &str) -> Result<(), AccountError> {
        self.limits.attempt(Attempt::ResetSource, source).await?;
        self.limits.attempt(Attempt::ResetAccount, email.key()).await?;
        let mut tx = self.db.write().await?;
        let user = store::by_key(&mut tx, email.key()).await?.filter(|user| user.disabled_at.is_none());
        let token = links::issue(&mut tx, &self.kit, user.as_ref().map(|user| user.id), Kind::Reset).await?;
        let to = user.as_ref().map_or(Recipient::Nobody, |user| Recipient::Address(user.email.clone()));
        let lang = user.map_or(lang, |user| user.lang());
        mail::enqueue(&mut tx, &self.kit, &self.reset_letter(lang, &token).to(to)).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Whether a reset link would work now: for the page that asks for the password.
    ///
    /// # Errors
    /// [`AccountError::Link`] says why not, or what the database says.
    pub async fn check_reset(&self, token: &str) -> Result<(), AccountError> {
        let mut conn = self.db.read().await?;
        links::check(&mut conn, self.kit.clock.now_ms(), token, Kind::Reset).await??;
        Ok(())
    }

    /// Opens a reset link: the account has the new password, its sessions have ended, and its address is proved.
    ///
    /// # Errors
    /// [`AccountError::Link`], [`AccountError::TooMany`], or what the database or the machine says.
    pub async fn reset(&self, token: &str, password: &Password, source: &str) -> Result<User, AccountError> {
        self.limits.attempt(Attempt::ResetSource, source).await?;
        // Before hashing: a token that was made up costs next to nothing.
        self.check_reset(token).await?;
        let hash = self.passwords.hash(password).await?;
        let mut tx = self.db.write().await?;
        let now = self.kit.clock.now_ms();
        let id: Id = links::consume(&mut tx, now, token, Kind::Reset).await??;
        store::set_password(&mut tx, id, &hash, now).await?;
        links::void(&mut tx, now, id, Kind::Reset).await?;
        links::void(&mut tx, now, id, Kind::Verify).await?;
        let user = store::by_id(&mut tx, id).await?.ok_or(AccountError::NotFound)?;
        let message = self.changed_letter(user.lang()).to(Recipient::Address(user.email.clone()));
        mail::enqueue(&mut tx, &self.kit, &message).await?;
        tx.commit().await?;
        Ok(user)
    }
}
