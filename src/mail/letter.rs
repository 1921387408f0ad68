//! The one layout of every mail: a heading, a few sentences, one button, a note. As HTML and as plain text.

use super::{Message, Recipient};
use crate::i18n::Lang;
use askama::Template;

/// What a mail says, already in its reader's language.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The language of the texts.
    pub lang: Lang,
    /// What the shop is called.
    pub site_name: String,
    /// The subject and the heading.
    pub subject: String,
    /// What it is about, one paragraph each.
    pub paragraphs: Vec<String>,
    /// What the button says.
    pub action: String,
    /// Where the button leads.
    pub link: String,
    /// What to do when the mail comes unexpected.
    pub note: String,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    letter: &'a Letter,
    or_copy: &'a str,
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct Text<'a> {
    letter: &'a Letter,
}

impl Letter {
    /// The mail that carries the letter.
    ///
    /// # Panics
    /// Never: the templates are compiled, and writing into a string does not fail.
    pub fn to(&self, to: Recipient) -> Message {
        let or_copy = self.lang.t("letters.or_copy");
        let html = Html { letter: self, or_copy: &or_copy }.render().expect("writing into a string does not fail");
        let text = Text { letter: self }.render().expect("writing into a string does not fail");
        Message { to, subject: self.subject.clone(), text, html, attachment: None }
    }
}
