//! `data:` URLs, in which OpenAI's dialects carry pictures and documents. Format: RFC 2397.

use super::canonical::Source;
use std::borrow::Cow;

/// Where an address points: outside, or here when it is a `data:` URL in base64.
pub fn read(url: String) -> Source {
    let here = url.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:")).and_then(|_| url[5..].split_once(','));
    let found = here.and_then(|(head, data)| {
        let media_type = head.strip_suffix(";base64")?.split(';').next()?;
        Some(Source::Base64 { media_type: media_type.to_ascii_lowercase(), data: data.to_owned() })
    });
    found.unwrap_or(Source::Url(url))
}

/// The address of a source; none for one that has no address.
pub fn write(source: &Source) -> Option<Cow<'_, str>> {
    match source {
        Source::Url(url) => Some(Cow::Borrowed(url)),
        Source::Base64 { media_type, data } => Some(Cow::Owned(format!("data:{media_type};base64,{data}"))),
        Source::Text(_) | Source::FileId { .. } => None,
    }
}

/// A text without the pictures that stand in it as Markdown, and how many those are.
pub fn without_pictures(text: &str) -> (Cow<'_, str>, u64) {
    const BEGIN: &str = "![image](data:";
    if !text.contains(BEGIN) {
        return (Cow::Borrowed(text), 0);
    }
    let (mut out, mut pictures) = (String::new(), 0);
    for (at, piece) in text.split(BEGIN).enumerate() {
        let words = if at == 0 { Some(piece) } else { piece.split_once(')').map(|(_, words)| words) };
        pictures += u64::from(at > 0);
        out.push_str(words.unwrap_or_default());
    }
    (Cow::Owned(out), pictures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_urls_are_here_and_all_else_is_outside() {
        let here = |media_type: &str, data: &str| Source::Base64 { media_type: media_type.to_owned(), data: data.to_owned() };
        for (url, source) in [
            ("data:image/png;base64,AAAA", here("image/png", "AAAA")),
            ("DATA:Image/PNG;name=x;base64,AA==", here("image/png", "AA==")),
            ("https://a.example/b.png", Source::Url("https://a.example/b.png".to_owned())),
            ("data:text/plain,hello", Source::Url("data:text/plain,hello".to_owned())),
            ("data", Source::Url("data".to_owned())),
            ("daté:x", Source::Url("daté:x".to_owned())),
        ] {
            assert_eq!(read(url.to_owned()), source, "{url}");
        }
        assert_eq!(write(&here("image/png", "AAAA")).as_deref(), Some("data:image/png;base64,AAAA"));
        assert_eq!(write(&Source::Text("x".to_owned())), None);
    }
}
