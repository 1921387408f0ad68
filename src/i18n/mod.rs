//! The translation table: every visible string of the site and the mails, in English and Simplified Chinese.
//!
//! The texts stand in `locales/*.yml`. A key is always written out in full where it is used, never put together from parts, so
//! that the tests below can hold the code to the table: no key missing in a language, none unknown, none unused.

use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// A language of the site.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Lang {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    Zh,
}

impl Lang {
    /// Every language, in the order in which the switch shows them.
    pub const ALL: [Lang; 2] = [Lang::En, Lang::Zh];

    /// The name of the table, of the cookie's value and of the account's `locale`.
    pub fn code(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Zh => "zh",
        }
    }

    /// What `<html lang>` says.
    pub fn tag(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Zh => "zh-Hans",
        }
    }

    /// The language's name in itself.
    pub fn name(self) -> &'static str {
        match self {
            Lang::En => "English",
            Lang::Zh => "简体中文",
        }
    }

    /// From a code or a tag such as `zh-CN`.
    pub fn parse(text: &str) -> Option<Self> {
        let primary = text.trim().split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|lang| lang.code().eq_ignore_ascii_case(primary))
    }

    /// The language that a browser likes best of those we have (`Accept-Language`). English when it names none.
    pub fn from_accept_language(header: &str) -> Self {
        let mut best = (0, Lang::default());
        for part in header.split(',').take(16) {
            let (tag, parameters) = part.split_once(';').unwrap_or((part, ""));
            let weight = parameters.trim().strip_prefix("q=").map_or(1000, per_mille);
            if let Some(lang) = Self::parse(tag).filter(|_| weight > best.0) {
                best = (weight, lang);
            }
        }
        best.1
    }

    /// The text of `key`.
    pub fn t(self, key: &str) -> Cow<'_, str> {
        rust_i18n::t!(key, locale = self.code())
    }

    /// The text of `key` with each `%{name}` replaced.
    pub fn with(self, key: &str, arguments: &[(&str, &str)]) -> String {
        let names: Vec<&str> = arguments.iter().map(|(name, _)| *name).collect();
        let values: Vec<String> = arguments.iter().map(|(_, value)| (*value).to_owned()).collect();
        rust_i18n::replace_patterns(&self.t(key), &names, &values)
    }
}

/// `0.8` as 800. What is not a number from 0 to 1 is 0, so that nonsense never wins.
fn per_mille(text: &str) -> u32 {
    let (whole, fraction) = text.trim().split_once('.').unwrap_or((text.trim(), ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    match (whole, digits.parse::<u32>()) {
        ("1", Ok(_)) => 1000,
        ("0", Ok(n)) => n,
        _ => 0,
    }
}
