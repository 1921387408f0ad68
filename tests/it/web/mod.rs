//! The website over HTTP: what a browser test would not notice. The pages themselves are walked through in `tests/browser`.

mod channels;
mod codes;
mod doors;
mod limits;
mod models;
mod money;
mod pages;
mod plans;
mod requests;
mod wallet;

use crate::harness::TestApp;
use farebox::accounts::{Email, Password, User};
use farebox::i18n::Lang;
use farebox::kernel::Id;
use farebox::keys;
use reqwest::{Response, StatusCode};

pub const PASSWORD: &str = "correct horse battery";

/// Somebody with a browser that keeps cookies, fills in forms and follows no redirect.
pub struct Visitor {
    url: String,
    http: reqwest::Client,
}

impl Visitor {
    pub fn new(shop: &TestApp) -> Self {
        let http = reqwest::Client::builder().no_proxy().cookie_store(true).redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Self { url: shop.url.clone(), http }
    }

    /// One who has logged in.
    pub async fn logged_in(shop: &TestApp, user: &User) -> Self {
        let visitor = Self::new(shop);
        let answer = visitor.log_in(&user.email, "").await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        visitor
    }

    pub async fn log_in(&self, email: &str, next: &str) -> Response {
        self.submit("/log-in", "/log-in", &[("email", email), ("password", PASSWORD), ("next", next)]).await
    }

    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(reqwest::Method::GET, path).send().await.expect("an answer")
    }

    /// A page that is there.
    pub async fn read(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.expect("a page")
    }

    /// The token of the forms on a page.
    pub async fn token(&self, page: &str) -> String {
        field(&self.read(page).await, "csrf")
    }

    /// Posts fields with the token of `page`.
    pub async fn submit(&self, page: &str, action: &str, fields: &[(&str, &str)]) -> Response {
        let token = self.token(page).await;
        self.post(action, &[fields, &[("csrf", token.as_str())]].concat()).await
    }

    /// Posts exactly these fields.
    pub async fn post(&self, action: &str, fields: &[(&str, &str)]) -> Response {
        self.request(reqwest::Method::POST, action).form(fields).send().await.expect("an answer")
    }
}

/// The value of a page's hidden field.
pub fn field(page: &str, name: &str) -> String {
    let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap_or_else(|| panic!("no {name} in {page}"));
    rest.split('"').next().expect("a value").to_owned()
}

pub fn location(answer: &Response) -> &str {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    answer.headers()["location"].to_str().expect("text")
}

pub async fn owner(shop: &TestApp) -> User {
    let email = Email::parse("owner@example.test").expect("an address");
    let password = Password::parse(PASSWORD).expect("a password");
    shop.app.accounts.create_owner(&email, &password, Lang::default(), false).await.expect("an owner")
}

/// The key that a customer of the harness comes with.
pub async fn first_key(shop: &TestApp, user: &User) -> Id {
    let all = keys::list(&mut shop.app.db.read().await.expect("a connection"), user.id).await.expect("the keys");
    all.first().expect("a key").id
}
