//! Reads single settings and collects what is wrong, so that one start tells everything.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use url::Url;

/// Passwords that stand in `.env.example`, `docker-compose.yml` or every tutorial: a shop that is open with one of them is
/// open to everybody.
const EXAMPLES: &[&str] = &["change-me", "changeme", "change_me", "example", "password", "secret", "your-password"];

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The name of the setting.
    pub setting: String,
    /// What is wrong and what to do. Never has a secret value.
    pub text: String,
}

/// Everything that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError(pub Vec<Problem>);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cannot start with these settings (see .env.example):")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {} {}", problem.setting, problem.text))
    }
}

/// Reads settings by name from one source.
pub(super) struct Reader<'a> {
    lookup: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { lookup, problems: Vec::new() }
    }

    /// The value without surrounding space; an empty one is absent, since compose files pass `${NAME:-}`.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The same for a secret, which may begin or end with a space.
    pub(super) fn secret_text(&self, name: &str) -> Option<String> {
        (self.lookup)(name).filter(|value| !value.is_empty())
    }

    pub(super) fn problem(&mut self, setting: &str, text: impl Into<String>) {
        self.problems.push(Problem { setting: setting.to_owned(), text: text.into() });
    }

    /// A value that `parse` understands. `wanted` says what it has to be.
    pub(super) fn parse_with<T>(&mut self, name: &str, wanted: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let text = self.text(name)?;
        let value = parse(&text);
        if value.is_none() {
            self.problem(name, format!("is {text:?}, but must be {wanted}"));
        }
        value
    }

    pub(super) fn parsed<T: FromStr>(&mut self, name: &str, wanted: &str) -> Option<T> {
        self.parse_with(name, wanted, |text| text.parse().ok())
    }

    pub(super) fn optional_number(&mut self, name: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let wanted = format!("a whole number from {} to {}", range.start(), range.end());
        self.parse_with(name, &wanted, |text| text.parse().ok().filter(|value| range.contains(value)))
    }

    pub(super) fn number(&mut self, name: &str, default: u64, range: RangeInclusive<u64>) -> u64 {
        self.optional_number(name, range).unwrap_or(default)
    }

    /// One of a few words; the first is the default.
    ///
    /// # Panics
    /// When there is no choice, which is a mistake in the caller.
    pub(super) fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> T {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let chosen = self.parse_with(name, &words.join(" or "), |text| choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)));
        chosen.unwrap_or(&choices[0]).1
    }

    /// Complains when `password` is one that everybody knows.
    pub(super) fn refuse_example(&mut self, name: &str, password: &str) {
        if is_example(password) {
            self.problem(name, "has an example password; make your own with: openssl rand -hex 24");
        }
    }

    /// The same for the password inside a URL, before the host or as a parameter.
    pub(super) fn refuse_example_password(&mut self, name: &str, url: &Url) {
        let in_query = url.query_pairs().find(|(key, _)| key == "password").map(|(_, value)| value.into_owned());
        if let Some(password) = in_query.or_else(|| url.password().map(decoded)) {
            self.refuse_example(name, &password);
        }
    }

    /// The value when nothing was wrong, all problems otherwise.
    pub(super) fn finish<T>(self, value: T) -> Result<T, ConfigError> {
        if self.problems.is_empty() { Ok(value) } else { Err(ConfigError(self.problems)) }
    }
}

pub(super) fn is_example(password: &str) -> bool {
    EXAMPLES.iter().any(|example| example.eq_ignore_ascii_case(password.trim()))
}

/// Percent-decodes one part of a URL.
fn decoded(part: &str) -> String {
    url::form_urlencoded::parse(part.as_bytes()).next().map(|(text, _)| text.into_owned()).unwrap_or_default()
}
