//! Who owns the shop: the one-time setup link, and the command line.

use super::store::{self, NewUser};
use super::{AccountError, Accounts, Email, LinkError, Password, Role, User};
use crate::admin_log;
use crate::db::Tx;
use crate::i18n::Lang;
use crate::kernel::secrets;
use crate::keys;
use crate::limits::Attempt;
use crate::settings::{self, Name, SiteName};

/// What whoever opens the setup link says.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The owner's address.
    pub email: Email,
    /// The owner's password.
    pub password: Password,
    /// What the shop is called.
    pub site_name: SiteName,
    /// The owner's language.
    pub lang: Lang,
}

impl Accounts {
    /// Makes the link that claims a shop without an owner, in place of any earlier one. None when there is an owner.
    ///
    /// # Errors
    /// The database's.
    pub async fn offer_setup(&self) -> Result<Option<String>, AccountError> {
        let mut tx = self.db.write().await?;
        if store::count_owners(&mut tx).await? > 0 {
            return Ok(None);
        }
        let token = secrets::token(&self.kit.random);
        settings::put(&mut tx, self.kit.clock.now_ms(), Name::SetupToken, &secrets::hash(&token)).await?;
        tx.commit().await?;
        Ok(Some(self.link(&format!("/setup?token={token}"))))
    }

    /// Whether a setup link would work now: for the page that asks who the owner is.
    ///
    /// # Errors
    /// [`AccountError::Link`] when not, [`AccountError::TooMany`], or what the database says.
    pub async fn check_setup(&self, token: &str, source: &str) -> Result<(), AccountError> {
        self.limits.attempt(Attempt::Setup, source).await?;
        let mut conn = self.db.read().await?;
        let kept = settings::get(&mut conn, Name::SetupToken).await?;
        let good = kept.is_some_and(|kept| secrets::same(&kept, &secrets::hash(token)));
        if good && store::count_owners(&mut conn).await? == 0 { Ok(()) } else { Err(LinkError::Unknown.into()) }
    }

    /// Opens the setup link: makes the owner and names the site, exactly once.
    ///
    /// # Errors
    /// [`AccountError::Link`] when the link is not the latest or was used, or what the database or the machine says.
    pub async fn claim(&self, token: &str, claim: &Claim, source: &str) -> Result<User, AccountError> {
        self.check_setup(token, source).await?;
        let hash = self.passwords.hash(&claim.password).await?;
        let mut tx = self.db.write().await?;
        if !settings::take(&mut tx, Name::SetupToken, &secrets::hash(token)).await? {
            return Err(LinkError::Used.into());
        }
        let owner = self.crown(&mut tx, &claim.email, &hash, claim.lang, false).await?;
        settings::set_site_name(&mut tx, self.kit.clock.now_ms(), &claim.site_name).await?;
        tx.commit().await?;
        self.settings.refresh(&self.db).await?;
        Ok(owner)
    }

    /// Makes an owner from the command line. `force` makes one beside those that there are.
    ///
    /// # Errors
    /// [`AccountError::OwnerExists`], or what the database or the machine says.
    pub async fn create_owner(&self, email: &Email, password: &Password, lang: Lang, force: bool) -> Result<User, AccountError> {
        let hash = self.passwords.hash(password).await?;
        let mut tx = self.db.write().await?;
        let owner = self.crown(&mut tx, email, &hash, lang, force).await?;
        tx.commit().await?;
        Ok(owner)
    }

    /// Makes a customer whose address counts as verified, without any mail: for the demo.
    ///
    /// # Errors
    /// [`AccountError::NotAllowed`] when the address has an account, or what the database or the machine says.
    pub async fn enroll(&self, email: &Email, password: &Password, lang: Lang) -> Result<User, AccountError> {
        let hash = self.passwords.hash(password).await?;
        let mut tx = self.db.write().await?;
        let (id, now) = (self.kit.ids.next(), self.kit.clock.now_ms());
        let (email, email_key) = (email.as_str(), email.key());
        let new = NewUser { id, email, email_key, password_hash: &hash, role: Role::Customer, verified_at: Some(now), locale: lang.code(), created_at: now };
        if !store::insert(&mut tx, new).await? {
            return Err(AccountError::NotAllowed);
        }
        self.books.open_wallet(&mut tx, id).await?;
        let user = store::by_key(&mut tx, email_key).await?.ok_or(AccountError::NotFound)?;
        tx.commit().await?;
        Ok(user)
    }

    /// Makes the address's account the owner's, a new one if it has none. An account that somebody made before with the same
    /// address gets the new password, and its sessions end.
    async fn crown(&self, tx: &mut Tx, email: &Email, hash: &str, lang: Lang, force: bool) -> Result<User, AccountError> {
        let now = self.kit.clock.now_ms();
        // This row's lock lets one through at a time; the count below then sees who came first.
        settings::put(tx, now, Name::Claimed, &now.to_string()).await?;
        if !force && store::count_owners(tx).await? > 0 {
            return Err(AccountError::OwnerExists);
        }
        let new = NewUser {
            id: self.kit.ids.next(),
            email: email.as_str(),
            email_key: email.key(),
            password_hash: hash,
            role: Role::Owner,
            verified_at: Some(now),
            locale: lang.code(),
            created_at: now,
        };
        let is_new = store::insert(tx, new).await?;
        let owner = store::by_key(tx, email.key()).await?.ok_or(AccountError::NotFound)?;
        if !is_new {
            store::crown(tx, owner.id, hash, now).await?;
            keys::touch_user(tx, owner.id).await?;
        }
        self.books.open_wallet(tx, owner.id).await?;
        admin_log::record(tx, &self.kit, None, "owner-created", &owner.id.to_string(), email.as_str()).await?;
        store::by_key(tx, email.key()).await?.ok_or(AccountError::NotFound)
    }
}
