//! What a visitor typed: read with limits, trimmed, kept for when the form comes back, with the errors beside the fields.
//!
//! As an extractor it refuses what does not come from a page of this site in this session.

use super::error::Problem;
use super::ui::Field;
use super::{Site, origin, visit};
use crate::i18n::Lang;
use crate::kernel::FieldError;
use crate::sessions::csrf;
use axum::RequestExt;
use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use tower_sessions::Session;

/// The longest text that a field takes.
pub const MAX_TEXT: usize = 100_000;
/// The largest body that a form may have.
pub const MAX_BODY: usize = 512 * 1024;

impl FromRequest<Site> for Form {
    type Rejection = Problem;

    async fn from_request(mut request: Request, site: &Site) -> Result<Self, Problem> {
        let session: Session = request.extract_parts_with_state(site).await.map_err(|(_, why)| Problem::internal(why))?;
        let (parts, body) = request.into_parts();
        if !origin::is_ours(&parts.headers) {
            return Err(Problem::Stale);
        }
        let lang = visit::of(&parts)?.lang;
        let body: Bytes = to_bytes(body, MAX_BODY).await.map_err(|_| Problem::TooLarge)?;
        let form = Form::parse(lang, &body);
        if csrf::check(&session, form.raw(csrf::FIELD)).await? { Ok(form) } else { Err(Problem::Stale) }
    }
}

/// The fields of a form and what is wrong with them.
#[derive(Clone, Debug, Default)]
pub struct Form {
    lang: Lang,
    values: Vec<(String, String)>,
    errors: Vec<(&'static str, String)>,
}

impl Form {
    /// A form that nobody has filled in yet.
    pub fn empty(lang: Lang) -> Self {
        Self { lang, ..Self::default() }
    }

    /// From a URL-encoded body. Texts longer than a field takes are cut off: nothing that the site offers needs them.
    pub fn parse(lang: Lang, body: &[u8]) -> Self {
        let values = url::form_urlencoded::parse(body).map(|(name, value)| (name.into_owned(), cut(value.into_owned()))).collect();
        Self { lang, values, errors: Vec::new() }
    }

    /// Fills a field before the form is shown.
    pub fn fill(mut self, name: &str, value: impl ToString) -> Self {
        self.values.push((name.to_owned(), value.to_string()));
        self
    }

    /// What was typed, as it was typed: for passwords.
    pub fn raw(&self, name: &str) -> &str {
        self.values.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// What was typed, without space around it. Empty when the field is absent.
    pub fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// Whether a box is ticked.
    pub fn ticked(&self, name: &str) -> bool {
        !self.text(name).is_empty()
    }

    /// Every value of a repeated field.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.values.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.trim())
    }

    /// Parses a field, or notes the text of `key` as its error.
    pub fn read<T, E>(&mut self, name: &'static str, key: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        let parsed = parse(self.text(name)).ok();
        if parsed.is_none() {
            self.refuse(name, key);
        }
        parsed
    }

    /// Parses a field that may stay empty: `Some(None)` when it is.
    pub fn read_optional<T, E>(&mut self, name: &'static str, key: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<Option<T>> {
        if self.text(name).is_empty() { Some(None) } else { self.read(name, key, parse).map(Some) }
    }

    /// Notes the text of `key` as what is wrong with a field; with an empty name, with the form as a whole.
    pub fn refuse(&mut self, name: &'static str, key: &str) {
        let text = self.lang.t(key).into_owned();
        self.errors.push((name, text));
    }

    /// Notes what a feature found wrong.
    pub fn refuse_all(&mut self, mistakes: &[FieldError]) {
        mistakes.iter().for_each(|mistake| self.refuse(mistake.field, mistake.key));
    }

    /// Notes a finished sentence as what is wrong.
    pub fn refuse_saying(&mut self, name: &'static str, text: String) {
        self.errors.push((name, text));
    }

    /// Whether anything is wrong.
    pub fn is_bad(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Everything that is wrong, for the summary on top: the field's name (or nothing) and the sentence.
    pub fn errors(&self) -> &[(&'static str, String)] {
        &self.errors
    }

    /// A field of the form for the template, with what was typed and what is wrong.
    pub fn field(&self, name: &'static str, label: impl Into<String>) -> Field {
        let error = self.errors.iter().find(|(known, _)| *known == name).map(|(_, text)| text.clone());
        Field::new(name, label, self.raw(name), error)
    }
}

fn cut(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_TEXT) {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_was_typed_and_says_what_is_wrong() {
        let mut form = Form::parse(Lang::En, b"name=+Ann+&n=x&models=a&models=b&password=+p+&empty=");
        assert_eq!((form.text("name"), form.raw("password"), form.text("absent")), ("Ann", " p ", ""));
        assert_eq!(form.all("models").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(form.read("n", "field.whole_number", str::parse::<i64>), None);
        assert_eq!(form.read_optional("empty", "field.whole_number", str::parse::<i64>), Some(None));
        assert!(form.is_bad() && form.errors()[0].0 == "n");
        assert!(form.field("n", "Number").to_string().contains("aria-invalid"));
        assert!(!form.field("name", "Name").to_string().contains("aria-invalid"));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let body = format!("a={}", "é".repeat(MAX_TEXT + 5));
        assert_eq!(Form::parse(Lang::En, body.as_bytes()).raw("a").chars().count(), MAX_TEXT);
    }
}
