//! What typed forms share: a mistake that belongs to a field, and the small rules that more than one form needs.

/// A mistake in one field of a form. The key names a text of the translation table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// The field's name in the form.
    pub field: &'static str,
    /// What is wrong with it, as a translation key.
    pub key: &'static str,
}

impl FieldError {
    /// A mistake in `field`, described by the translation `key`.
    pub const fn new(field: &'static str, key: &'static str) -> Self {
        Self { field, key }
    }
}

/// Collects the mistakes of a form, so that all of them show at once.
#[derive(Debug, Default)]
pub struct Mistakes(Vec<FieldError>);

impl Mistakes {
    /// Notes one.
    pub fn add(&mut self, field: &'static str, key: &'static str) {
        self.0.push(FieldError::new(field, key));
    }

    /// The value, or a note that `field` is wrong.
    pub fn take<T>(&mut self, field: &'static str, parsed: Result<T, &'static str>) -> Option<T> {
        parsed.map_err(|key| self.add(field, key)).ok()
    }

    /// Whether one was noted of a field.
    pub fn has(&self, field: &str) -> bool {
        self.0.iter().any(|mistake| mistake.field == field)
    }

    /// The mistakes when there are any.
    ///
    /// # Errors
    /// All of them.
    pub fn check(self) -> Result<(), Vec<FieldError>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

/// A person's name for a thing: trimmed, one line, 1 to 100 characters.
///
/// # Errors
/// The translation key of what is wrong.
pub fn label(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("field.required"),
        1..=100 if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        1..=100 => Err("field.control_characters"),
        _ => Err("field.label_too_long"),
    }
}

/// The public name of a model as callers send it: 1 to 200 characters, no space, no control character.
///
/// # Errors
/// The translation key of what is wrong.
pub fn model_name(text: &str) -> Result<&str, &'static str> {
    let text = text.trim();
    match text.chars().count() {
        0 => Err("field.required"),
        1..=200 if !text.chars().any(|c| c.is_whitespace() || c.is_control()) => Ok(text),
        _ => Err("field.model_name"),
    }
}

/// A whole number within bounds.
///
/// # Errors
/// The translation key `field.whole_number` when it is none, else `outside`.
pub fn whole_number(text: &str, bounds: std::ops::RangeInclusive<i64>, outside: &'static str) -> Result<i64, &'static str> {
    let number: i64 = text.trim().parse().map_err(|_| "field.whole_number")?;
    if bounds.contains(&number) { Ok(number) } else { Err(outside) }
}

/// The translation key for an amount that could not be read.
pub fn money_key(error: super::money::MoneyError) -> &'static str {
    match error {
        super::money::MoneyError::NotANumber => "field.amount",
        super::money::MoneyError::TooPrecise => "field.amount_too_precise",
        super::money::MoneyError::TooLarge => "field.amount_too_large",
    }
}

/// Whether a checkbox was ticked: browsers send its value or leave the field out.
pub fn ticked(value: &str) -> bool {
    !matches!(value.trim(), "" | "0" | "false" | "off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_by_characters_not_bytes() {
        assert_eq!(label("  我的密钥 "), Ok("我的密钥".to_owned()));
        assert!(label(&"钥".repeat(100)).is_ok());
        assert_eq!(label(&"钥".repeat(101)), Err("field.label_too_long"));
        assert_eq!(label(" \t"), Err("field.required"));
        assert_eq!(label("a\u{0}b"), Err("field.control_characters"));
        assert_eq!(model_name(" openai/gpt-4o:free "), Ok("openai/gpt-4o:free"));
        assert!(model_name(&"m".repeat(200)).is_ok());
        for bad in ["two words", "tab\there", "bell\u{7}", &"m".repeat(201)] {
            assert_eq!(model_name(bad), Err("field.model_name"), "{bad:?}");
        }
        assert_eq!(model_name(""), Err("field.required"));
    }

    #[test]
    fn whole_numbers_stay_in_bounds() {
        assert_eq!(whole_number(" 7 ", 1..=10, "out"), Ok(7));
        assert_eq!(whole_number("11", 1..=10, "out"), Err("out"));
        for bad in ["", "1.5", "1e3", "seven", "9223372036854775808"] {
            assert_eq!(whole_number(bad, 1..=10, "out"), Err("field.whole_number"), "{bad}");
        }
    }
}
