//! The pages of the shop window as templates know them.

use crate::kernel::Prices;
use crate::referrals::Rules;
use crate::web::snippets::Snippet;
use crate::web::{Form, Page};
use askama::Template;

/// A model in the price list.
#[derive(Clone, Debug)]
pub struct ModelRow {
    /// What a request calls it.
    pub name: String,
    /// What it costs.
    pub prices: Prices,
}

/// `/`
#[derive(Template)]
#[template(path = "public/home.html")]
pub struct Home {
    /// What every template knows.
    pub page: Page,
    /// The first call, in three languages.
    pub snippets: Vec<Snippet>,
    /// What can be called.
    pub models: Vec<ModelRow>,
}

/// `/sign-up`
#[derive(Template)]
#[template(path = "public/sign_up.html")]
pub struct SignUp {
    /// What every template knows.
    pub page: Page,
    /// What was typed.
    pub form: Form,
    /// What the shop gives to whoever was invited, when the visitor was.
    pub invited: Option<Rules>,
}

/// `/log-in`
#[derive(Template)]
#[template(path = "public/log_in.html")]
pub struct LogIn {
    /// What every template knows.
    pub page: Page,
    /// What was typed.
    pub form: Form,
    /// Where to go afterwards.
    pub next: String,
}

/// `/forgot`
#[derive(Template)]
#[template(path = "public/forgot.html")]
pub struct Forgot {
    /// What every template knows.
    pub page: Page,
    /// What was typed.
    pub form: Form,
}

/// `/reset`
#[derive(Template)]
#[template(path = "public/reset.html")]
pub struct Reset {
    /// What every template knows.
    pub page: Page,
    /// What was typed.
    pub form: Form,
    /// What the mailed link carries.
    pub token: String,
}

/// `/verify`: a button rather than a verification by the link alone, because mail scanners open every link.
#[derive(Template)]
#[template(path = "public/verify.html")]
pub struct Verify {
    /// What every template knows.
    pub page: Page,
    /// What the mailed link carries.
    pub token: String,
}

/// `/setup`
#[derive(Template)]
#[template(path = "public/setup.html")]
pub struct Setup {
    /// What every template knows.
    pub page: Page,
    /// What was typed.
    pub form: Form,
    /// What the one-time link carries.
    pub token: String,
}

/// A page with one message and one way on: errors, a mail that is under way, a link that has expired.
#[derive(Template)]
#[template(path = "public/message.html")]
pub struct Message {
    /// What every template knows.
    pub page: Page,
    /// The heading.
    pub title: String,
    /// What happened and what to do.
    pub text: String,
    /// Where the button leads.
    pub link: String,
    /// What the button says.
    pub link_text: String,
    /// What support finds the request by.
    pub request_id: Option<String>,
}
