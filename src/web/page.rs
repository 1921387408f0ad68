//! What every template knows: the language, the visitor, the shop's name, the token of its forms, what happened last.

use super::ui::{Icon, Token, When};
use super::{assets, format};
use crate::i18n::Lang;
use crate::kernel::{NEVER, Usd};
use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::borrow::Cow;
use std::fmt::Display;

/// Light, dark, or as the system says. The switch in `app.js` keeps it in a cookie.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Theme {
    /// As the visitor's system is set.
    #[default]
    System,
    /// Always light.
    Light,
    /// Always dark.
    Dark,
}

impl Theme {
    /// From the cookie. Anything unknown is the system's choice.
    pub fn parse(text: &str) -> Self {
        match text {
            "light" => Theme::Light,
            "dark" => Theme::Dark,
            _ => Theme::System,
        }
    }

    /// The class of `<html>`.
    pub fn class(self) -> &'static str {
        match self {
            Theme::System => "",
            Theme::Light => "light",
            Theme::Dark => "dark",
        }
    }
}

/// Who looks at the page.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Their address.
    pub email: String,
    /// May see the back office.
    pub admin: bool,
    /// Has followed the mailed link.
    pub verified: bool,
    /// What the side bar shows; read only for pages that have one.
    pub balance: Option<Usd>,
}

/// How a flash message looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub enum Tone {
    /// It worked.
    Good,
    /// It did not.
    Bad,
}

/// A message about what the visitor just did, shown once.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Flash {
    /// Good or bad news.
    pub tone: Tone,
    /// The words, in the visitor's language.
    pub text: String,
}

/// What every template knows.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The language of every string.
    pub lang: Lang,
    /// Light or dark.
    pub theme: Theme,
    /// The shop's name.
    pub site: String,
    /// Where the shop stands, without a slash at the end: for snippets to copy.
    pub base_url: String,
    /// The token that every form carries.
    pub csrf: String,
    /// The path and query of this page: where the language switch returns to.
    pub here: String,
    /// Who looks, when logged in.
    pub visitor: Option<Visitor>,
    /// What happened last.
    pub flashes: Vec<Flash>,
}

impl Page {
    /// The text of `key` in the page's language.
    pub fn t(&self, key: &str) -> Cow<'static, str> {
        Cow::Owned(self.lang.t(key).into_owned())
    }

    /// The text of `key` with one `%{name}` replaced.
    pub fn with(&self, key: &str, name: &str, value: impl Display) -> String {
        self.lang.with(key, &[(name, &value.to_string())])
    }

    /// The text of `key` with two `%{name}`s replaced.
    pub fn with2(&self, key: &str, (a, x): (&str, impl Display), (b, y): (&str, impl Display)) -> String {
        self.lang.with(key, &[(a, &x.to_string()), (b, &y.to_string())])
    }

    /// The address of an embedded file.
    pub fn asset(&self, path: &str) -> String {
        assets::url(path)
    }

    /// The hidden field with which a form proves that it came from this page.
    pub fn token(&self) -> Token {
        Token(self.csrf.clone())
    }

    /// A small drawing from the set in `ui`.
    pub fn icon(&self, name: &'static str) -> Icon {
        Icon(name)
    }

    /// A moment, which the browser turns into the visitor's zone. `None` and never have a word of their own.
    pub fn when(&self, ms: impl Into<Option<i64>>) -> When {
        match ms.into() {
            None => When::Word(self.t("common.not_yet").into_owned()),
            Some(NEVER) => When::Word(self.t("common.never").into_owned()),
            Some(ms) => When::Moment(ms),
        }
    }

    /// A number with separated thousands.
    pub fn count(&self, n: impl Into<i64>) -> String {
        format::count(n.into())
    }

    /// Milliseconds, for people.
    pub fn duration(&self, ms: impl Into<i64>) -> String {
        format::duration(ms.into())
    }

    /// Whether the link to `path` leads to where the visitor already is; a section's link stays lit on the pages under it.
    pub fn at(&self, path: &str) -> bool {
        let here = self.here.split('?').next().unwrap_or_default();
        let section = !matches!(path, "/account" | "/admin" | "/");
        here == path || (section && here.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
    }
}

/// A template as an answer.
pub fn render(template: &impl Template) -> Response {
    render_as(StatusCode::OK, template)
}

/// A template as an answer with a status: 422 for a form that was filled in wrongly.
pub fn render_as(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response(),
        Err(error) => {
            tracing::error!(%error, "a template failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
