//! Forms with files (`multipart/form-data`, RFC 7578), as the paths for pictures and sound take them.

use axum::body::Bytes;
use axum::http::HeaderMap;
use serde_json::{Map, Value, json};

/// A file in a form.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    pub field: String,
    pub bytes: Bytes,
}

/// The boundary of a form; none when the body is none.
pub(super) fn boundary(headers: &HeaderMap) -> Option<String> {
    let kind = headers.get("content-type")?.to_str().ok()?;
    let (form, parameters) = kind.split_once(';')?;
    if !form.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("boundary=")).map(|boundary| boundary.trim_matches('"').to_owned())
}

/// Fields as a JSON object and the files behind them. A field that comes twice, or is named `name[]`, becomes a list. None when the
/// form is broken.
pub(super) fn parse(raw: &Bytes, boundary: &str) -> Option<(Value, Vec<Upload>)> {
    let delimiter = format!("--{boundary}").into_bytes();
    let (mut fields, mut files) = (Map::new(), Vec::new());
    let mut at = memchr::memmem::find(raw, &delimiter)? + delimiter.len();
    loop {
        let rest = &raw[at..];
        if rest.starts_with(b"--") {
            return Some((Value::Object(fields), files));
        }
        let length = memchr::memmem::find(rest, &[b"\r\n", delimiter.as_slice()].concat())?;
        let part = raw.slice(at..at + length);
        let split = memchr::memmem::find(&part, b"\r\n\r\n")?;
        add_part(std::str::from_utf8(&part[..split]).ok()?, part.slice(split + 4..), &mut fields, &mut files)?;
        at += length + 2 + delimiter.len();
    }
}

fn add_part(head: &str, content: Bytes, fields: &mut Map<String, Value>, files: &mut Vec<Upload>) -> Option<()> {
    let header =
        |name: &str| head.lines().find_map(|line| line.split_once(':').filter(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()));
    let disposition = header("content-disposition")?;
    let parameter = |name: &str| disposition.split(';').find_map(|p| p.trim().strip_prefix(name)?.strip_prefix('=')).map(|value| value.trim_matches('"'));
    let name = parameter("name")?;
    let value = match parameter("filename") {
        Some(filename) => {
            files.push(Upload { field: name.trim_end_matches("[]").to_owned(), bytes: content.clone() });
            json!({"filename": filename, "content_type": header("content-type").unwrap_or_default(), "bytes": content.len()})
        }
        None => json!(String::from_utf8_lossy(&content)),
    };
    match (fields.get_mut(name.trim_end_matches("[]")), name.strip_suffix("[]")) {
        (Some(Value::Array(list)), _) => list.push(value),
        (Some(first), _) => *first = json!([first.clone(), value]),
        (None, Some(name)) => _ = fields.insert(name.to_owned(), json!([value])),
        (None, None) => _ = fields.insert(name.to_owned(), value),
    }
    Some(())
}

/// The same fields with numbers and flags where the JSON form of the request has them.
pub(super) fn as_json(fields: &Value) -> Value {
    let mut fields = fields.clone();
    for name in ["n", "partial_images", "output_compression", "temperature", "stream"] {
        if let Some(value) = fields[name].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok()) {
            fields[name] = value;
        }
    }
    fields
}
