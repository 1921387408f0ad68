//! Logging in.

use super::{AccountError, Accounts, Email, Password, User, store};
use crate::i18n::Lang;
use crate::kernel::Id;
use crate::kernel::secrets::Secret;
use crate::limits::Attempt;

/// What was typed to log in.
#[derive(Clone, Debug)]
pub struct LogIn {
    /// What should be an address.
    pub email: String,
    /// What should be the password.
    pub password: Secret<String>,
}

impl Accounts {
    /// Finds the person whose password this is. `source` is the client's address as [`crate::limits::source`] gives it.
    ///
    /// # Errors
    /// [`AccountError::WrongLogIn`] alike for an unknown address and a wrong password, [`AccountError::Disabled`] only with the right
    /// one, [`AccountError::TooMany`], or what the database or the machine says.
    pub async fn log_in(&self, typed: &LogIn, source: &str) -> Result<User, AccountError> {
        // What is no address is nobody's: it goes the same way as an unknown one.
        let key = Email::parse(&typed.email).map_or_else(|_| String::new(), |email| email.key().to_owned());
        self.limits.attempt(Attempt::LogInSource, source).await?;
        self.limits.attempt(Attempt::LogInAccount, &key).await?;
        let known = store::password_hash(&mut *self.db.read().await?, &key).await?;
        let hash = known.as_ref().map(|(_, hash)| hash.as_str());
        let matches = self.passwords.verify(typed.password.reveal(), hash).await?;
        let Some((id, hash)) = known.filter(|_| matches) else { return Err(AccountError::WrongLogIn) };
        self.limits.forget(Attempt::LogInAccount, &key).await;
        self.let_in(id, &hash, typed).await
    }

    async fn let_in(&self, id: Id, hash: &str, typed: &LogIn) -> Result<User, AccountError> {
        let better = match Password::parse(typed.password.reveal()) {
            Ok(password) if self.passwords.is_outdated(hash) => Some(self.passwords.hash(&password).await?),
            _ => None,
        };
        let mut tx = self.db.write().await?;
        let user = store::by_id(&mut tx, id).await?.ok_or(AccountError::WrongLogIn)?;
        if user.disabled_at.is_some() {
            return Err(AccountError::Disabled);
        }
        if let Some(better) = better {
            store::rehash(&mut tx, id, hash, &better).await?;
        }
        store::logged_in(&mut tx, id, self.kit.clock.now_ms()).await?;
        tx.commit().await?;
        Ok(user)
    }

    /// Remembers the language that somebody chose.
    ///
    /// # Errors
    /// The database's.
    pub async fn set_lang(&self, user: Id, lang: Lang) -> Result<(), AccountError> {
        let mut tx = self.db.write().await?;
        store::set_locale(&mut tx, user, lang.code()).await?;
        tx.commit().await?;
        Ok(())
    }
}
