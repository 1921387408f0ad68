//! The switch between languages.

use crate::i18n::Lang;
use crate::web::error::{Answer, Problem};
use crate::web::visit::LANGUAGE_COOKIE;
use crate::web::who::{Guest, local};
use crate::web::{Form, Site, public};
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Redirect};

/// `POST /language`: in a cookie, and in the account of who is logged in.
pub async fn switch(State(site): State<Site>, Guest { user, .. }: Guest, form: Form) -> Answer {
    let lang = Lang::parse(form.text("language")).ok_or(Problem::BadRequest)?;
    if let Some(user) = user {
        site.accounts.set_lang(user.id, lang).await.map_err(public::problem)?;
    }
    let secure = if site.public_url.is_https() { "; Secure" } else { "" };
    let cookie = format!("{LANGUAGE_COOKIE}={}; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly{secure}", lang.code());
    Ok(([(header::SET_COOKIE, cookie)], Redirect::to(local(form.text("next"), "/"))).into_response())
}
