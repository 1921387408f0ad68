//! Reading the top of a JSON body without reading the rest: each field with the bytes of its value, so that a body can be edited without being
//! rewritten.

use crate::relay::error::ApiError;
use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// More output tokens than any model gives: a larger limit is a mistake.
const MAX_OUTPUT: u64 = 10_000_000;
/// The longest model name that is looked up.
const MAX_MODEL: usize = 200;

/// One level of a JSON object: each field with its value as it is written.
pub(super) struct Level<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl Level<'_> {
    /// What its fields are called.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| key.as_ref())
    }
}

impl<'de> Deserialize<'de> for Level<'de> {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Level<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }
            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Level<'de>, M::Error> {
                let mut fields = Vec::with_capacity(12);
                while let Some(key) = map.next_key::<BorrowedKey<'de>>()? {
                    fields.push((key.0, map.next_value()?));
                }
                Ok(Level(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A key that is borrowed when it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct BorrowedKey<'a>(#[serde(borrow)] Cow<'a, str>);

/// A letter as parsers that do not mind the case compare it: two letters outside ASCII are a k and an s to them.
fn folded(letter: char) -> char {
    match letter {
        '\u{212a}' => 'k',
        '\u{17f}' => 's',
        other => other.to_ascii_lowercase(),
    }
}

/// Whether a parser that does not mind the case takes one name for the other.
pub(super) fn is_spelling_of(key: &str, name: &str) -> bool {
    key.len() >= name.len() && key.chars().map(folded).eq(name.chars().map(folded))
}

/// A whole body as text.
///
/// # Errors
/// A 400 when it is not UTF-8.
pub(super) fn text_of(body: &[u8]) -> Result<&str, ApiError> {
    std::str::from_utf8(body).map_err(|_| ApiError::invalid(None, "The body is not valid UTF-8."))
}

/// An object that is being read, and the whole text that it is a part of.
pub(super) struct Reader<'a> {
    whole: &'a str,
    fields: Level<'a>,
    /// What its fields are called in errors: empty, or `generationConfig.`.
    prefix: &'static str,
}

impl<'a> Reader<'a> {
    /// The whole body.
    ///
    /// # Errors
    /// A 400 when it is not a JSON object, or spells one of `read` in another case: some upstreams read names of fields in any case, so
    /// `Max_Tokens` must not get past the cap that was put on `max_tokens`, nor `Model` past the price.
    pub(super) fn body(whole: &'a str, read: &[&'static str]) -> Result<Self, ApiError> {
        let fields = serde_json::from_str(whole).map_err(|error| ApiError::invalid(None, format!("The body is not a valid JSON object: {error}.")))?;
        Self { whole, fields, prefix: "" }.refusing_lookalikes(read)
    }

    /// An object inside.
    ///
    /// # Errors
    /// A 400 when it is none, and as [`Reader::body`].
    pub(super) fn inside(&self, name: &'static str, prefix: &'static str, read: &[&'static str]) -> Result<Option<Self>, ApiError> {
        let Some(raw) = self.get(name)? else { return Ok(None) };
        let fields = serde_json::from_str(raw.get()).map_err(|_| ApiError::invalid(name, format!("'{name}' must be an object.")))?;
        Self { whole: self.whole, fields, prefix }.refusing_lookalikes(read).map(Some)
    }

    fn refusing_lookalikes(self, read: &[&'static str]) -> Result<Self, ApiError> {
        for (key, _) in &self.fields.0 {
            if let Some(name) = read.iter().find(|name| key != **name && is_spelling_of(key, name)) {
                return Err(self.invalid(name, "written exactly so"));
            }
        }
        Ok(self)
    }

    /// "'name' must be …".
    pub(super) fn invalid(&self, name: &str, what: &str) -> ApiError {
        let field = format!("{}{name}", self.prefix);
        ApiError::invalid_field(&field, format!("'{field}' must be {what}."))
    }

    /// The value of a field, null being none.
    pub(super) fn get(&self, name: &'static str) -> Result<Option<&'a RawValue>, ApiError> {
        Ok(self.written(name)?.filter(|raw| raw.get() != "null"))
    }

    /// The value of a field as it stands there; a repeated field is an error, because upstreams disagree on which one counts.
    pub(super) fn written(&self, name: &'static str) -> Result<Option<&'a RawValue>, ApiError> {
        let mut found = self.fields.0.iter().filter(|(key, _)| key == name).map(|(_, raw)| *raw);
        let first = found.next();
        if found.next().is_some() {
            return Err(ApiError::invalid_field(name, format!("'{}{name}' is given more than once.", self.prefix)));
        }
        Ok(first)
    }

    /// Where a value stands in the body.
    pub(super) fn range(&self, raw: &RawValue) -> Range<usize> {
        let start = raw.get().as_ptr() as usize - self.whole.as_ptr() as usize;
        start..start + raw.get().len()
    }

    /// Where the values of those of `names` that are there stand.
    pub(super) fn ranges(&self, names: &[&'static str]) -> Result<Vec<Range<usize>>, ApiError> {
        let ranges: Result<Vec<_>, _> = names.iter().map(|name| Ok(self.get(name)?.map(|raw| self.range(raw)))).collect();
        Ok(ranges?.into_iter().flatten().collect())
    }

    /// A typed field; `what` says what it must be.
    pub(super) fn optional<T: Deserialize<'a>>(&self, name: &'static str, what: &str) -> Result<Option<T>, ApiError> {
        let parse = |raw: &'a RawValue| serde_json::from_str(raw.get()).map_err(|_| self.invalid(name, what));
        self.get(name)?.map(parse).transpose()
    }

    /// A field that is true or false; false when it is not there.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, ApiError> {
        Ok(self.optional(name, "true or false")?.unwrap_or(false))
    }

    /// A whole number in a range.
    pub(super) fn whole(&self, name: &'static str, from: u64, to: u64) -> Result<Option<u64>, ApiError> {
        let what = || format!("a whole number from {from} to {to}");
        let Some(raw) = self.get(name)? else { return Ok(None) };
        let number = serde_json::from_str::<u64>(raw.get()).ok().filter(|n| (from..=to).contains(n));
        number.map(Some).ok_or_else(|| self.invalid(name, &what()))
    }

    /// The model's name.
    pub(super) fn model(&self) -> Result<(String, Range<usize>), ApiError> {
        let raw = self.get("model")?.ok_or_else(|| ApiError::invalid("model", "You must say which model: 'model' is missing."))?;
        let model: String = serde_json::from_str(raw.get()).map_err(|_| self.invalid("model", "a string"))?;
        check_model(&model)?;
        Ok((model, self.range(raw)))
    }

    /// A field that the call cannot do without.
    pub(super) fn must(&self, name: &'static str) -> Result<&'a RawValue, ApiError> {
        self.get(name)?.ok_or_else(|| ApiError::invalid_field(name, format!("'{}{name}' is missing.", self.prefix)))
    }

    /// A list of objects with at least one in it, such as `messages`.
    pub(super) fn turns(&self, name: &'static str) -> Result<Range<usize>, ApiError> {
        let raw = self.must(name)?;
        let inner = raw.get().trim_start().strip_prefix('[').map(str::trim_start);
        match inner {
            None => Err(self.invalid(name, "an array")),
            Some(rest) if rest.starts_with(']') => Err(ApiError::invalid(name, format!("'{name}' must have at least one entry."))),
            Some(rest) if !rest.starts_with('{') => Err(ApiError::invalid(name, format!("Each of '{name}' must be an object."))),
            Some(_) => Ok(self.range(raw)),
        }
    }

    /// The larger of several caps, and what to overwrite to lower it: the numbers, or else a null, beside which an inserted field would only be one
    /// of two.
    pub(super) fn caps(&self, names: &[&'static str]) -> Result<(Option<u64>, Vec<Range<usize>>), ApiError> {
        let (mut numbers, mut nulls, mut largest) = (Vec::new(), Vec::new(), None);
        for name in names {
            let Some(raw) = self.written(name)? else { continue };
            match self.whole(name, 1, MAX_OUTPUT)? {
                Some(cap) => {
                    largest = largest.max(Some(cap));
                    numbers.push(self.range(raw));
                }
                None => nulls.push(self.range(raw)),
            }
        }
        nulls.truncate(1);
        Ok((largest, if numbers.is_empty() { nulls } else { numbers }))
    }

    /// A field that may not be used here, and why not.
    pub(super) fn refuse(&self, name: &'static str, why: &str) -> Result<(), ApiError> {
        match self.get(name)? {
            Some(raw) if raw.get() != "false" => Err(ApiError::invalid_field(name, format!("'{}{name}' is not offered here: {why}", self.prefix))),
            _ => Ok(()),
        }
    }

    /// A field that may only have one of these values, all of which cost the same: a model has one price here.
    pub(super) fn usual(&self, name: &'static str, values: &[&str]) -> Result<(), ApiError> {
        let Some(raw) = self.get(name)? else { return Ok(()) };
        let told: Option<Cow<'_, str>> = serde_json::from_str(raw.get()).ok();
        if told.is_some_and(|told| values.iter().any(|value| told.eq_ignore_ascii_case(value))) {
            return Ok(());
        }
        let values = values.iter().map(|value| format!("\"{value}\"")).collect::<Vec<_>>().join(" or ");
        let field = format!("{}{name}", self.prefix);
        Err(ApiError::invalid_field(&field, format!("'{field}' may only be {values} here, because other classes of service have other prices. Leave it out.")))
    }

    /// The names and values at this level, in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.fields.0.iter().map(|(key, raw)| (key.as_ref(), *raw))
    }
}

/// A model's name as a caller may send it.
pub(super) fn check_model(model: &str) -> Result<(), ApiError> {
    if model.is_empty() || model.len() > MAX_MODEL {
        return Err(ApiError::invalid("model", format!("'model' must have 1 to {MAX_MODEL} bytes.")));
    }
    Ok(())
}
