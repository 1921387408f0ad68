//! Accounts on a test's own database, and the mail that they write.

use super::{TestDb, kit};
use farebox::accounts::{Accounts, Email, LogIn, Password, PasswordHasher, SignUp, User};
use farebox::i18n::Lang;
use farebox::kernel::Kit;
use farebox::kernel::secrets::Secret;
use farebox::limits::Limits;
use farebox::settings;

/// A password that is long enough.
pub const PASSWORD: &str = "correct horse";
/// A client's address.
pub const SOURCE: &str = "192.0.2.1";

/// A database, a kit and the accounts in it.
pub struct Shop {
    pub test: TestDb,
    pub kit: Kit,
    pub settings: settings::Snapshot,
    pub accounts: Accounts,
}

/// A mail as it waits in the outbox.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub to: String,
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Sent, or written for nobody.
    pub sent: bool,
}

impl Waiting {
    /// The token of the link in the mail.
    pub fn token(&self) -> String {
        let rest = self.text.split("token=").nth(1).expect("the mail has a link with a token");
        rest.split_whitespace().next().expect("the token is not empty").to_owned()
    }
}

impl Shop {
    pub async fn open() -> Self {
        let (test, kit) = (TestDb::new().await, kit());
        let settings = settings::Snapshot::load(&test.db).await.unwrap();
        let hasher = PasswordHasher::new(PasswordHasher::cheap_params(), kit.random.clone()).unwrap();
        let limits = Limits::in_process(kit.clock.clone());
        let accounts = Accounts::new(test.db.clone(), kit.clone(), hasher, limits, settings.clone(), "https://shop.example.com");
        Self { test, kit, settings, accounts }
    }

    pub async fn sign_up(&self, address: &str) -> User {
        self.try_sign_up(address, PASSWORD).await;
        farebox::accounts::find_by_email(&mut self.test.db.read().await.unwrap(), &email(address)).await.unwrap().expect("the account is there")
    }

    pub async fn try_sign_up(&self, address: &str, typed: &str) {
        self.accounts.sign_up(&SignUp { email: email(address), password: password(typed), lang: Lang::En, invitation: None }, SOURCE).await.unwrap();
    }

    pub async fn find(&self, id: farebox::kernel::Id) -> User {
        farebox::accounts::find(&mut self.test.db.read().await.unwrap(), id).await.unwrap().expect("the account is there")
    }

    /// Every mail in the order in which they were written.
    pub async fn mails(&self) -> Vec<Waiting> {
        let mut conn = self.test.db.read().await.unwrap();
        let rows: Vec<(String, String, String, String, Option<i64>)> =
            sqlx::query_as("SELECT recipient, subject, body_text, body_html, sent_at FROM outbox ORDER BY id").fetch_all(&mut *conn).await.unwrap();
        rows.into_iter().map(|(to, subject, text, html, sent_at)| Waiting { to, subject, text, html, sent: sent_at.is_some() }).collect()
    }

    pub async fn last_mail(&self) -> Waiting {
        self.mails().await.pop().expect("a mail was written")
    }

    pub async fn count(&self, table: &'static str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut *self.test.db.read().await.unwrap()).await.unwrap()
    }
}

pub fn email(text: &str) -> Email {
    Email::parse(text).unwrap()
}

pub fn password(text: &str) -> Password {
    Password::parse(text).unwrap()
}

pub fn typed(email: &str, password: &str) -> LogIn {
    LogIn { email: email.to_owned(), password: Secret::new(password.to_owned()) }
}
