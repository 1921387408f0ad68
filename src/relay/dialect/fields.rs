//! Reading a JSON object field by field, so that nothing is overlooked: what nobody took is refused by name in the end.

use super::canonical::Unfit;
use serde_json::{Map, Number, Value};

/// An object that is being read, and where it stands in the body.
#[derive(Debug)]
pub struct Fields {
    path: String,
    map: Map<String, Value>,
}

impl Fields {
    /// A whole body.
    ///
    /// # Errors
    /// When it is not a JSON object.
    pub fn body(bytes: &[u8]) -> Result<Self, Unfit> {
        let value = serde_json::from_slice(bytes).map_err(|error| Unfit::new("", format!("The body is not valid JSON: {error}.")))?;
        Self::of(String::new(), value)
    }

    /// The object at `path`.
    ///
    /// # Errors
    /// When it is something else.
    pub fn of(path: String, value: Value) -> Result<Self, Unfit> {
        match value {
            Value::Object(map) => Ok(Self { path, map }),
            _ => Err(Unfit::new(path.clone(), format!("'{}' must be an object.", if path.is_empty() { "The body" } else { &path }))),
        }
    }

    /// Where a field of it stands.
    pub fn path(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// Takes a field out; null is none.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.map.shift_remove(name).filter(|value| !value.is_null())
    }

    /// Takes fields out that make no difference.
    pub fn ignore(&mut self, names: &[&str]) {
        names.iter().for_each(|name| drop(self.map.shift_remove(*name)));
    }

    fn typed<T>(&mut self, name: &str, what: &str, read: impl FnOnce(Value) -> Option<T>) -> Result<Option<T>, Unfit> {
        let Some(value) = self.take(name) else { return Ok(None) };
        read(value).map(Some).ok_or_else(|| self.wrong(name, what))
    }

    /// "'x' must be …".
    pub fn wrong(&self, name: &str, what: &str) -> Unfit {
        let path = self.path(name);
        Unfit::new(path.clone(), format!("'{path}' must be {what}."))
    }

    /// The field cannot be said in the form between the dialects.
    pub fn inexpressible(&self, name: &str) -> Unfit {
        Unfit::inexpressible(self.path(name))
    }

    /// A field that must be there.
    ///
    /// # Errors
    /// When it is not.
    pub fn must<T>(&self, name: &str, value: Option<T>) -> Result<T, Unfit> {
        let path = self.path(name);
        value.ok_or_else(|| Unfit::new(path.clone(), format!("'{path}' is missing.")))
    }

    /// A string.
    ///
    /// # Errors
    /// When it is something else.
    pub fn string(&mut self, name: &str) -> Result<Option<String>, Unfit> {
        self.typed(name, "a string", |value| if let Value::String(text) = value { Some(text) } else { None })
    }

    /// A flag.
    ///
    /// # Errors
    /// When it is something else.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, Unfit> {
        self.typed(name, "true or false", |value| value.as_bool())
    }

    /// A whole number from 0.
    ///
    /// # Errors
    /// When it is something else.
    pub fn whole(&mut self, name: &str) -> Result<Option<u64>, Unfit> {
        self.typed(name, "a whole number", |value| value.as_u64())
    }

    /// Any number.
    ///
    /// # Errors
    /// When it is something else.
    pub fn number(&mut self, name: &str) -> Result<Option<Number>, Unfit> {
        self.typed(name, "a number", |value| if let Value::Number(number) = value { Some(number) } else { None })
    }

    /// An array.
    ///
    /// # Errors
    /// When it is something else.
    pub fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>, Unfit> {
        self.typed(name, "an array", |value| if let Value::Array(items) = value { Some(items) } else { None })
    }

    /// An array of objects, each ready to be read.
    ///
    /// # Errors
    /// When it is something else.
    pub fn objects(&mut self, name: &str) -> Result<Vec<Fields>, Unfit> {
        let path = self.path(name);
        let items = self.array(name)?.unwrap_or_default();
        items.into_iter().enumerate().map(|(at, item)| Fields::of(format!("{path}[{at}]"), item)).collect()
    }

    /// An object.
    ///
    /// # Errors
    /// When it is something else.
    pub fn object(&mut self, name: &str) -> Result<Option<Fields>, Unfit> {
        let path = self.path(name);
        self.take(name).map(|value| Fields::of(path, value)).transpose()
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// Names the first field that nobody took.
    pub fn finish(self) -> Result<(), Unfit> {
        let left = self.map.iter().find(|(_, value)| !value.is_null()).map(|(name, _)| name.clone());
        left.map_or(Ok(()), |name| Err(self.inexpressible(&name)))
    }
}
