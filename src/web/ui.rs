//! Small parts that templates are made of: form fields, moments, drawings. Each prints finished HTML.

use super::format;
use askama::Template;
use askama::filters::HtmlSafe;
use std::fmt;

/// A labelled form field with its help below and its error beside it. Built in templates: `form.field("email", label).kind("email")`.
#[derive(Template, Clone, Debug, Default)]
#[template(path = "partials/field.html")]
pub struct Field {
    name: &'static str,
    label: String,
    value: String,
    error: Option<String>,
    help: String,
    kind: &'static str,
    autocomplete: &'static str,
    inputmode: &'static str,
    placeholder: String,
    prefix: &'static str,
    suffix: String,
    max: usize,
    rows: usize,
    options: Vec<(&'static str, String)>,
    required: bool,
    autofocus: bool,
}

impl Field {
    /// A line of text that must be filled in.
    pub fn new(name: &'static str, label: impl Into<String>, value: &str, error: Option<String>) -> Self {
        Self { name, label: label.into(), value: value.to_owned(), error, kind: "text", max: 200, required: true, ..Self::default() }
    }

    /// The `type` of the input. A password is never printed back.
    pub fn kind(mut self, kind: &'static str) -> Self {
        self.kind = kind;
        if kind == "password" {
            self.value.clear();
        }
        self
    }

    /// What the browser may fill in.
    pub fn autocomplete(mut self, what: &'static str) -> Self {
        self.autocomplete = what;
        self
    }

    /// Digits with a decimal point on a phone's keyboard, and what unit they are of.
    pub fn decimal(mut self, prefix: &'static str, suffix: impl Into<String>) -> Self {
        (self.inputmode, self.prefix, self.suffix, self.max, self.autocomplete) = ("decimal", prefix, suffix.into(), 24, "off");
        self
    }

    /// Whole numbers.
    pub fn number(mut self) -> Self {
        (self.inputmode, self.max, self.autocomplete) = ("numeric", 12, "off");
        self
    }

    /// A sentence under the field.
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = text.into();
        self
    }

    /// An example inside the empty field.
    pub fn placeholder(mut self, text: impl Into<String>) -> Self {
        self.placeholder = text.into();
        self
    }

    /// How many characters it takes.
    pub fn max(mut self, characters: usize) -> Self {
        self.max = characters;
        self
    }

    /// One of these values, each with its words.
    pub fn choices(mut self, options: Vec<(&'static str, String)>) -> Self {
        self.options = options;
        self
    }

    /// Several lines.
    pub fn lines(mut self, rows: usize) -> Self {
        (self.rows, self.max) = (rows, super::form::MAX_TEXT);
        self
    }

    /// May stay empty.
    pub fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    /// Where the visitor starts to type.
    pub fn autofocus(mut self) -> Self {
        self.autofocus = true;
        self
    }

    fn is_chosen(&self, choice: &str) -> bool {
        self.value == choice
    }

    fn described_by(&self) -> String {
        let help = (!self.help.is_empty()).then(|| format!("{}-help", self.name));
        let error = self.error.is_some().then(|| format!("{}-error", self.name));
        help.into_iter().chain(error).collect::<Vec<_>>().join(" ")
    }
}

impl HtmlSafe for Field {}

/// A moment or a word in its place.
pub enum When {
    /// Unix milliseconds.
    Moment(i64),
    /// "never", "not yet".
    Word(String),
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            When::Moment(ms) => write!(f, r#"<time datetime="{}" data-local>{}</time>"#, format::iso(*ms), format::utc(*ms)),
            // The words are ours, from the translation table.
            When::Word(word) => write!(f, r#"<span class="quiet">{word}</span>"#),
        }
    }
}

impl HtmlSafe for When {}

/// The hidden field that every form carries.
pub struct Token(pub String);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The token is base64url by construction: nothing in it to escape.
        write!(f, r#"<input type="hidden" name="csrf" value="{}">"#, self.0)
    }
}

impl HtmlSafe for Token {}

/// A line drawing on a grid of 24.
pub struct Icon(pub &'static str);

impl fmt::Display for Icon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = ICONS.iter().find(|(name, _)| *name == self.0).map_or("", |(_, path)| path);
        write!(f, r#"<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d="{path}"/></svg>"#)
    }
}

impl HtmlSafe for Icon {}

/// Drawn for this site with straight lines and arcs.
const ICONS: &[(&str, &str)] = &[
    ("overview", "M4 4h7v9H4zM13 4h7v5h-7zM13 12h7v8h-7zM4 16h7v4H4z"),
    ("key", "M8 20a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM11 13l9-9M16 8l3 3M13 11l2 2"),
    ("list", "M9 6h11M9 12h11M9 18h11M4 6h1M4 12h1M4 18h1"),
    ("wallet", "M4 6h14v4M4 6v13h16v-9H4M16 14.500h.1"),
    ("channel", "M4 5h16v5H4zM4 14h16v5H4zM8 7.5h.1M8 16.5h.1"),
    ("price", "M4 4h8l8 8-8 8-8-8zM8.5 8.5h.1"),
    ("gift", "M4 11h16v9H4zM3 7h18v4H3zM12 7v13M12 7C10 3 6 3 7 6c.3.8 2 1 5 1 3 0 4.7-.2 5-1 1-3-3-3-5 1z"),
    ("card", "M3 6h18v12H3zM3 10h18M7 14.500h4"),
    ("percent", "M4 4h16v16H4zM8 16l8-8M8.5 8.500h.1M15.5 15.500h.1"),
    ("invite", "M10 11a3.5 3.5 0 1 0 0-7 3.500 3.500 0 0 0 0 7zM4 20c0-4 2.500-6 6-6 1.500 0 3 .5 4 1.300M18 14v6M15 17h6"),
    ("plan", "M5 4h14v16H5zM8 8h8M8 12h8M8 16h4"),
    ("users", "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM3 20c0-4 2.5-6 6-6s6 2 6 6M15.5 4.200a3.5 3.5 0 0 1 0 6.600M17 14.300c2.5.6 4 2.5 4 5.700"),
    ("settings", "M4 7h9M17 7h3M4 17h3M11 17h9M15 9a2 2 0 1 0 0-4 2 2 0 0 0 0 4zM9 19a2 2 0 1 0 0-4 2 2 0 0 0 0 4z"),
    ("mail", "M3 6h18v12H3zM3 7l9 7 9-7"),
    ("menu", "M4 6h16M4 12h16M4 18h16"),
    ("theme", "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18"),
    ("copy", "M9 9h11v11H9zM15 9V4H4v11h5"),
    ("check", "M5 13l4 4L19 7"),
    ("warning", "M12 4l9 16H3zM12 10v4M12 17h.1"),
    ("leave", "M10 4H4v16h6M9 12h11M16 8l4 4-4 4"),
    ("shop", "M4 10v10h16V10M3 10l2-6h14l2 6zM9 20v-5h6v5"),
];

/// What is asked before something is lost, and what would be.
#[derive(Clone, Debug)]
pub struct Question {
    /// What is about to happen.
    pub title: String,
    /// What will be lost.
    pub loss: String,
    /// Where the answer "yes" is posted.
    pub action: String,
    /// What the button says.
    pub yes: String,
    /// Where the answer "no" leads.
    pub back: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_names_its_help_and_its_error_and_prints_back_what_was_typed() {
        let field = Field::new("email", "E-mail", "a\"<b", Some("No".into())).kind("email").help("We write rarely");
        let html = field.to_string();
        assert!(html.contains(r#"aria-describedby="email-help email-error""#) && html.contains(r#"aria-invalid="true""#), "{html}");
        assert!(html.contains(r#"value="a&#34;&#60;b""#), "{html}");
        let html = Field::new("password", "Password", "secret", None).kind("password").to_string();
        assert!(!html.contains("secret") && !html.contains("aria-invalid"), "{html}");
    }

    #[test]
    fn every_icon_that_a_template_asks_for_is_drawn() {
        fn look(folder: &std::path::Path) {
            for entry in std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
                if entry.is_dir() {
                    look(&entry);
                    continue;
                }
                let text = std::fs::read_to_string(&entry).unwrap();
                for name in text.split(".icon(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                    assert!(ICONS.iter().any(|(known, _)| *known == name), "{name} in {}", entry.display());
                }
            }
        }
        look(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"));
    }
}
