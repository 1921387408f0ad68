//! Forms with files (`multipart/form-data`, RFC 7578): their small fields, and where each stands, so that a form can be passed on as it came but for the
//! model's name.

use super::json;
use crate::relay::error::ApiError;
use bytes::Bytes;
use memchr::memmem;
use std::ops::Range;

/// More fields than any of these calls has.
const MAX_PARTS: usize = 64;
/// The fields that say what a call is and what it can cost.
const READ: [&str; 5] = ["model", "n", "prompt", "stream", "response_format"];
/// The longest field that is not a file.
const MAX_TEXT: usize = 64 * 1024;

/// The boundary, when the content type says that this is a form.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = header_value(content_type)?;
    if !kind.eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameters.into_iter().find(|(name, _)| name == "boundary")?.1;
    // RFC 2046, 5.1.1.
    ((1..=70).contains(&boundary.len()) && boundary.bytes().all(|b| (b' '..=b'~').contains(&b))).then_some(boundary)
}

/// A field of a form.
#[derive(Debug)]
struct Part {
    name: String,
    /// The value, when the part is no file.
    text: Option<String>,
    value: Range<usize>,
}

/// A form.
#[derive(Debug)]
pub struct Form {
    parts: Vec<Part>,
}

impl Form {
    /// Reads a form.
    ///
    /// # Errors
    /// A 400 that says what is wrong with it.
    pub(super) fn read(boundary: &str, body: &[u8]) -> Result<Self, ApiError> {
        let wrong = |what: &str| ApiError::invalid(None, format!("The body is not a valid form: {what}."));
        let delimiter = format!("--{boundary}");
        if !body.starts_with(delimiter.as_bytes()) {
            return Err(wrong("it does not begin with its boundary"));
        }
        let between = format!("\r\n{delimiter}");
        let finder = memmem::Finder::new(between.as_bytes());
        let mut parts = Vec::new();
        let mut at = delimiter.len();
        while let Some(rest) = body.get(at..).filter(|rest| !rest.starts_with(b"--")) {
            if parts.len() == MAX_PARTS {
                return Err(wrong("it has too many fields"));
            }
            let rest = rest.strip_prefix(b"\r\n").ok_or_else(|| wrong("a boundary is not followed by a new line"))?;
            let begin = at + 2;
            let head = memmem::find(rest, b"\r\n\r\n").ok_or_else(|| wrong("a field has no end to its headers"))?;
            let end = finder.find(&body[begin + head..]).map(|length| begin + head + length).ok_or_else(|| wrong("it ends within a field"))?;
            let value = (begin + head + 4).min(end)..end;
            // Some take it for the end of the field, whatever stands before it.
            if memmem::find(&body[value.clone()], delimiter.as_bytes()).is_some() {
                return Err(wrong("a field has the boundary within it"));
            }
            parts.push(part(&rest[..head], value, body).ok_or_else(|| wrong("a field has no plain name, or is too long"))?);
            at = end + between.len();
        }
        let form = Self { parts };
        form.refuse_what_can_be_read_otherwise()?;
        Ok(form)
    }

    /// Upstreams disagree on which of two fields counts, on small and large letters, and on whether a file can be a number.
    fn refuse_what_can_be_read_otherwise(&self) -> Result<(), ApiError> {
        for name in READ {
            let mut same = self.parts.iter().filter(|part| json::is_spelling_of(&part.name, name));
            let (first, second) = (same.next(), same.next());
            let wrong = match first {
                Some(_) if second.is_some() => "is given more than once",
                Some(part) if part.name != name => "must be written exactly so",
                Some(part) if part.text.is_none() => "must be no file",
                _ => continue,
            };
            return Err(ApiError::invalid_field(name, format!("'{name}' {wrong}.")));
        }
        Ok(())
    }

    /// The value of a field that is no file.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.parts.iter().find(|part| part.name == name).and_then(|part| part.text.as_deref())
    }

    /// The values of all fields that are no files.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter(|part| part.name == "prompt").filter_map(|part| part.text.as_deref())
    }

    /// How many files.
    pub fn files(&self) -> usize {
        self.parts.iter().filter(|part| part.text.is_none()).count()
    }

    /// How long all files are together.
    pub fn file_bytes(&self) -> usize {
        self.parts.iter().filter(|part| part.text.is_none()).map(|part| part.value.len()).sum()
    }

    /// The bytes of the first file.
    pub fn first_file<'b>(&self, body: &'b [u8]) -> Option<&'b [u8]> {
        self.parts.iter().find(|part| part.text.is_none()).and_then(|part| body.get(part.value.clone()))
    }

    /// The form with another model's name in it.
    pub(super) fn with_model(&self, body: &Bytes, model: &str) -> Bytes {
        let Some(range) = self.parts.iter().find(|part| part.name == "model").map(|part| part.value.clone()) else { return body.clone() };
        let mut out = Vec::with_capacity(body.len() + model.len());
        out.extend_from_slice(&body[..range.start]);
        out.extend_from_slice(model.as_bytes());
        out.extend_from_slice(&body[range.end..]);
        out.into()
    }
}

fn part(head: &[u8], value: Range<usize>, body: &[u8]) -> Option<Part> {
    let head = std::str::from_utf8(head).ok()?;
    let (name, is_file) = disposition(head)?;
    let text = if is_file {
        None
    } else {
        if value.len() > MAX_TEXT {
            return None;
        }
        Some(std::str::from_utf8(&body[value.clone()]).ok()?.to_owned())
    };
    Some(Part { name, text, value })
}

/// The name of a field, and whether it is a file: none when its headers can be read in more than one way.
fn disposition(head: &str) -> Option<(String, bool)> {
    let mut found = None;
    for line in head.split("\r\n").filter(|line| !line.is_empty()) {
        // Neither a line that goes on in the next, nor one that ends within itself.
        if line.starts_with([' ', '\t']) || line.contains(['\r', '\n', '\0']) {
            return None;
        }
        let (name, value) = line.split_once(':')?;
        match name.to_ascii_lowercase().as_str() {
            "content-disposition" if found.is_some() => return None,
            "content-disposition" => found = Some(header_value(value)?),
            // Nobody has sent one for years, and some would undo it (RFC 7578, 4.7).
            "content-transfer-encoding" if !["7bit", "8bit", "binary"].contains(&value.trim().to_ascii_lowercase().as_str()) => return None,
            _ => {}
        }
    }
    let (kind, parameters) = found?;
    let has = |name: &str| parameters.iter().any(|(known, _)| known == name);
    let is_file = has("filename") || has("filename*");
    if !kind.eq_ignore_ascii_case("form-data") || has("name*") {
        return None;
    }
    parameters.into_iter().find(|(name, _)| name == "name").map(|(_, name)| (name, is_file))
}

/// The value of a header and its parameters, by their names in small letters (RFC 9110, 5.6.6): none when one stands there twice, or is written in a way that not
/// everybody reads alike.
fn header_value(text: &str) -> Option<(&str, Vec<(String, String)>)> {
    let (kind, mut rest) = text.split_once(';').unwrap_or((text, ""));
    let mut parameters: Vec<(String, String)> = Vec::new();
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        if rest.is_empty() {
            return Some((kind.trim(), parameters));
        }
        let (name, after) = rest.split_once('=')?;
        let name = name.trim().to_ascii_lowercase();
        let value;
        (value, rest) = match after.trim_start().strip_prefix('"') {
            Some(quoted) => {
                let (value, after) = quoted.split_once('"')?;
                let after = after.trim_start();
                // Whether it hides a quote or is a sign like any other depends on who reads it; names of files are read by nobody, but they must end alike.
                let is_plain = if name.starts_with("filename") { !value.ends_with('\\') } else { !value.contains('\\') };
                if !is_plain || !(after.is_empty() || after.starts_with(';')) {
                    return None;
                }
                (value, after)
            }
            None => after.split_once(';').map_or((after.trim(), ""), |(value, rest)| (value.trim(), rest)),
        };
        let is_plain = !name.is_empty() && !name.contains(['"', ';', ' ', '\t']);
        if !is_plain || parameters.iter().any(|(known, _)| *known == name) {
            return None;
        }
        parameters.push((name, value.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\
                        Content-Type: audio/wav\r\n\r\nRIFF\r\n--x\r\n--b--\r\n";

    #[test]
    fn reads_fields_and_files_and_changes_the_model_alone() {
        let boundary = boundary("multipart/form-data; boundary=\"b\"").unwrap();
        let form = Form::read(&boundary, BODY.as_bytes()).unwrap();
        assert_eq!((form.text("model"), form.files(), form.file_bytes()), (Some("whisper-1"), 1, 9));
        assert_eq!(form.first_file(BODY.as_bytes()), Some(&b"RIFF\r\n--x"[..]));
        let changed = form.with_model(&Bytes::from(BODY), "other");
        assert_eq!(changed, BODY.replace("whisper-1", "other"));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "",
            "--b",
            "--b\r\n",
            "--bx\r\n\r\n",
            "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nno end",
            "--b\r\n\r\nx\r\n--b--",
            "--b\r\nX: y\r\n\r\nx\r\n--b--",
        ] {
            assert!(Form::read("b", bad.as_bytes()).is_err(), "{bad:?}");
        }
        let twice = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\na\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nb\r\n--b--";
        assert!(Form::read("b", twice.as_bytes()).is_err());
        for no in ["application/json", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=b"] {
            assert_eq!(boundary(no), None, "{no}");
        }
    }

    /// A form of these fields: what stands behind `form-data`, and the value.
    fn form(fields: &[(&str, &str)]) -> Result<Form, ApiError> {
        let field = |(disposition, value): &(&str, &str)| format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{value}\r\n");
        let body: String = fields.iter().map(field).chain(["--b--\r\n".to_owned()]).collect();
        Form::read("b", body.as_bytes())
    }

    #[test]
    fn names_are_read_with_their_quotes() {
        let read =
            form(&[("name=\"a;name=n\"", "5"), ("name = n", "2"), ("name=\"file\"; filename=\"a;b\\.wav\"", "x"), ("NAME=\"x y\" ; other=1", "z")]).unwrap();
        assert_eq!((read.text("n"), read.text("a;name=n"), read.text("x y"), read.files()), (Some("2"), Some("5"), Some("z"), 1));
        assert_eq!(boundary("multipart/form-data; charset=\"a;boundary=c\"; Boundary=b").as_deref(), Some("b"));
        assert_eq!(boundary("multipart/form-data; boundary=a; boundary=b"), None);
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for twice in
            [[("name=\"n\"", "1"), ("name=\"N\"", "10")], [("name=\"n\"", "1"), ("name=n", "10")], [("name=\"model\"", "cheap"), ("name=\"Model\"", "dear")]]
        {
            assert!(form(&twice).is_err(), "{twice:?}");
        }
        for one in [
            "name=\"N\"",
            "name=\"\u{17f}tream\"",
            "name=\"n\"; filename=\"\"",
            "name=\"n\"; filename*=UTF-8''a",
            "name=\"a\"; name=\"n\"",
            "name=\"a\"; name*=UTF-8''n",
            "name=\"n\\\"; x=\"\"",
            "filename=\"a\\\"; name=\"n\"",
            "name=\"a\" name=\"n\"",
            "name=\"a",
            "name",
            "filename=\"a\"",
        ] {
            assert!(form(&[(one, "10")]).is_err(), "{one}");
        }
        for (name, head) in [
            ("two headers", "Content-Disposition: form-data; name=\"a\"\r\nContent-Disposition: form-data; name=\"n\""),
            ("a line that goes on", "Content-Disposition: form-data; name=\"a\"\r\n ; name=\"n\""),
            ("a bare line feed", "X: y\nContent-Disposition: form-data; name=\"n\"\r\nContent-Disposition: form-data; name=\"a\""),
            ("encoded", "Content-Disposition: form-data; name=\"n\"\r\nContent-Transfer-Encoding: base64"),
            ("no field of a form", "Content-Disposition: attachment; name=\"n\""),
        ] {
            assert!(Form::read("b", format!("--b\r\n{head}\r\n\r\n10\r\n--b--\r\n").as_bytes()).is_err(), "{name}");
        }
        assert!(form(&[("name=\"prompt\"", "a\n--b\nContent-Disposition: form-data; name=\"n\"\n\n10")]).is_err(), "a boundary behind a bare line feed");
    }
}
