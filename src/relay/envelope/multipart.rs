//! Forms with files (`multipart/form-data`, RFC 7578): their small fields, and where each stands, so that a form can be passed on as it came but for the
//! model's name.

use crate::relay::error::ApiError;
use bytes::Bytes;
use memchr::memmem;
use std::ops::Range;

/// More fields than any of these calls has.
const MAX_PARTS: usize = 64;
/// The longest field that is not a file.
const MAX_TEXT: usize = 64 * 1024;

/// The boundary, when the content type says that this is a form.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let (kind, parameters) = content_type.split_once(';')?;
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"').to_owned())
    })?;
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
            parts.push(part(&rest[..head], value, body).ok_or_else(|| wrong("a field has no name, or is too long"))?);
            at = end + between.len();
        }
        let form = Self { parts };
        for name in ["model", "n", "prompt", "stream", "response_format"] {
            if form.parts.iter().filter(|part| part.name == name).count() > 1 {
                return Err(ApiError::invalid_field(name, format!("'{name}' is given more than once.")));
            }
        }
        Ok(form)
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
    let line = head.split("\r\n").find(|line| line.get(..20).is_some_and(|name| name.eq_ignore_ascii_case("content-disposition:")))?;
    let name = parameter(line, "name")?;
    let is_file = parameter(line, "filename").is_some() || line.contains("filename*=");
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

/// A quoted or bare parameter of a header.
fn parameter(line: &str, wanted: &str) -> Option<String> {
    line.split(';').skip(1).find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"').to_owned())
    })
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
}
