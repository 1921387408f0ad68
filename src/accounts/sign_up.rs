//! Signing up, and proving that the address is theirs.

use super::links::{self, Kind};
use super::store::{self, NewUser};
use super::{AccountError, Accounts, Email, Password, Role, User};
use crate::db::Tx;
use crate::i18n::Lang;
use crate::kernel::Id;
use crate::limits::Attempt;
use crate::mail::{self, Letter, Recipient};
use crate::referrals::{self, Invitation};

/// A sign-up.
#[derive(Clone, Debug)]
pub struct SignUp {
    /// Where mail goes.
    pub email: Email,
    /// The password they chose.
    pub password: Password,
    /// The language of the page they signed up on.
    pub lang: Lang,
    /// The customer's link that they came by.
    pub invitation: Option<Invitation>,
}

impl Accounts {
    /// Signs somebody up and mails the verification link. The answer is the same when the address is taken: then its owner gets a mail that
    /// says so. `source` is the client's address as [`crate::limits::source`] gives it.
    ///
    /// # Errors
    /// [`AccountError::TooMany`], or what the database or the machine says.
    pub async fn sign_up(&self, form: &SignUp, source: &str) -> Result<(), AccountError> {
        self.limits.attempt(Attempt::SignUpSource, source).await?;
        self.limits.attempt(Attempt::SignUpAccount, form.email.key()).await?;
        let hash = self.passwords.hash(&form.password).await?;
        let mut tx = self.db.write().await?;
        let id = self.kit.ids.next();
        let letter = if self.insert(&mut tx, id, form, &hash).await? {
            self.books.open_wallet(&mut tx, id).await?;
            let token = links::issue_inviting(&mut tx, &self.kit, Some(id), Kind::Verify, form.invitation.as_ref()).await?;
            self.verify_letter(form.lang, &token)
        } else {
            self.sign_up_again(&mut tx, form, &hash).await?
        };
        mail::enqueue(&mut tx, &self.kit, &letter.to(Recipient::Address(form.email.as_str().to_owned()))).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn insert(&self, tx: &mut Tx, id: Id, form: &SignUp, hash: &str) -> Result<bool, AccountError> {
        let new = NewUser {
            id,
            email: form.email.as_str(),
            email_key: form.email.key(),
            password_hash: hash,
            role: Role::Customer,
            verified_at: None,
            locale: form.lang.code(),
            created_at: self.kit.clock.now_ms(),
        };
        Ok(store::insert(tx, new).await?)
    }

    /// The address is taken. If nobody ever proved that it is theirs, whoever opens the new link gets the account with the new password:
    /// a stranger who signed up with somebody else's address must not have chosen that person's password. A stranger who comes second gets no
    /// further either: opening the link logs nobody in, the owner's own password is refused, and the reset that follows ends the stranger's.
    async fn sign_up_again(&self, tx: &mut Tx, form: &SignUp, hash: &str) -> Result<Letter, AccountError> {
        let user = store::by_key(tx, form.email.key()).await?.ok_or(AccountError::NotFound)?;
        if user.disabled_at.is_none() && store::start_over(tx, user.id, hash).await? {
            links::void(tx, self.kit.clock.now_ms(), user.id, Kind::Verify).await?;
            let token = links::issue_inviting(tx, &self.kit, Some(user.id), Kind::Verify, form.invitation.as_ref()).await?;
            return Ok(self.verify_letter(user.lang(), &token));
        }
        links::issue_inviting(tx, &self.kit, None, Kind::Verify, form.invitation.as_ref()).await?;
        Ok(self.known_letter(user.lang()))
    }

    /// Opens a verification link. Who has opened it once sees [`super::LinkError::Used`] afterwards.
    ///
    /// # Errors
    /// [`AccountError::Link`], or what the database says.
    pub async fn verify(&self, token: &str) -> Result<User, AccountError> {
        let mut tx = self.db.write().await?;
        let now = self.kit.clock.now_ms();
        let id = links::consume(&mut tx, now, token, Kind::Verify).await??;
        store::verify(&mut tx, id, now).await?;
        if let Some(invitation) = store::invitation(&mut tx, id).await?.as_deref().and_then(Invitation::read) {
            referrals::joined(&mut tx, &self.kit, id, &invitation).await?;
        }
        let user = store::by_id(&mut tx, id).await?.ok_or(AccountError::NotFound)?;
        tx.commit().await?;
        Ok(user)
    }

    /// Mails another verification link to somebody who is logged in.
    ///
    /// # Errors
    /// [`AccountError::AlreadyVerified`], [`AccountError::TooMany`], or what the database says.
    pub async fn resend(&self, user: Id) -> Result<(), AccountError> {
        self.limits.attempt(Attempt::Resend, &user.to_string()).await?;
        let mut tx = self.db.write().await?;
        let user = store::by_id(&mut tx, user).await?.ok_or(AccountError::NotFound)?;
        if user.verified_at.is_some() {
            return Err(AccountError::AlreadyVerified);
        }
        let token = links::issue(&mut tx, &self.kit, Some(user.id), Kind::Verify).await?;
        let message = self.verify_letter(user.lang(), &token).to(Recipient::Address(user.email.clone()));
        mail::enqueue(&mut tx, &self.kit, &message).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Removes links that ended a week ago.
    ///
    /// # Errors
    /// The database's.
    pub async fn sweep(&self) -> Result<u64, sqlx::Error> {
        let mut tx = self.db.write().await?;
        let swept = store::sweep_links(&mut tx, self.kit.clock.now_ms() - 7 * crate::kernel::clock::DAY_MS).await?;
        tx.commit().await?;
        Ok(swept)
    }
}
