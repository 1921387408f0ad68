//! Stripe's request bodies and queries: forms whose names have brackets, such as `line_items[0][price_data][currency]`.

use serde_json::{Map, Value};

/// Deeper names than any that Stripe knows.
const DEEPEST: usize = 10;

/// Reads a form into a tree: names in brackets become objects, numbers and empty brackets lists. Every leaf is a text.
pub(super) fn parse(text: &str) -> Value {
    let mut tree = Value::Object(Map::new());
    for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
        let path = path(&name);
        if !path.is_empty() && path.len() <= DEEPEST {
            put(&mut tree, &path, value.into_owned());
        }
    }
    with_lists(tree)
}

fn path(name: &str) -> Vec<&str> {
    let (head, rest) = name.split_at(name.find('[').unwrap_or(name.len()));
    let parts = rest.split('[').skip(1).map(|part| part.trim_end_matches(']'));
    std::iter::once(head).chain(parts).collect()
}

fn put(tree: &mut Value, path: &[&str], value: String) {
    let Some(map) = tree.as_object_mut() else { return };
    let name = if path[0].is_empty() { map.len().to_string() } else { path[0].to_owned() };
    match &path[1..] {
        [] => drop(map.insert(name, Value::String(value))),
        rest => put(map.entry(name).or_insert_with(|| Value::Object(Map::new())), rest, value),
    }
}

/// Objects whose names are all numbers are lists.
fn with_lists(tree: Value) -> Value {
    let Value::Object(map) = tree else { return tree };
    let is_list = !map.is_empty() && map.keys().all(|name| name.parse::<u16>().is_ok());
    if !is_list {
        return Value::Object(map.into_iter().map(|(name, value)| (name, with_lists(value))).collect());
    }
    let mut items: Vec<(u16, Value)> = map.into_iter().filter_map(|(name, value)| Some((name.parse().ok()?, with_lists(value)))).collect();
    items.sort_by_key(|(at, _)| *at);
    Value::Array(items.into_iter().map(|(_, value)| value).collect())
}

/// A parameter by its path (`/payment_intent_data/metadata`): its text, when it is one and not empty.
pub(super) fn text<'a>(form: &'a Value, pointer: &str) -> Option<&'a str> {
    form.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// A parameter that is `true`.
pub(super) fn flag(form: &Value, pointer: &str) -> bool {
    text(form, pointer) == Some("true")
}

/// A parameter that is an object, or an empty one.
pub(super) fn object(form: &Value, pointer: &str) -> Value {
    form.pointer(pointer).filter(|value| value.is_object()).cloned().unwrap_or_else(|| Value::Object(Map::new()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn brackets_become_objects_and_lists() {
        let form =
            parse("mode=payment&line_items[0][price_data][currency]=usd&line_items[1][quantity]=2&expand[]=a&expand[]=b&metadata%5Border%5D=7+8&x[=1&=2");
        let list = json!([{"price_data": {"currency": "usd"}}, {"quantity": "2"}]);
        assert_eq!((&form["mode"], &form["line_items"], &form["expand"]), (&json!("payment"), &list, &json!(["a", "b"])));
        assert_eq!((text(&form, "/metadata/order"), text(&form, "/line_items/1/quantity"), text(&form, "/nothing")), (Some("7 8"), Some("2"), None));
    }

    #[test]
    fn hostile_names_do_no_harm() {
        let deep = format!("a{}=1", "[b]".repeat(100_000));
        for text in [deep.as_str(), "a=1&a[b]=2", "[[[]]]=1", "]=1", "a[999999999999]=1", "&&&=&", "%ff=%00"] {
            parse(text);
        }
    }
}
