//! What was written is found again in the file.

use super::super::document::tests::sample;
use super::super::document::{Document, Kind};
use super::*;
use crate::i18n::Lang;

/// How many pages a file has.
fn pages(pdf: &[u8]) -> usize {
    let text = String::from_utf8_lossy(pdf);
    text.matches("/Type /Page\n").count()
}

/// The texts of a file, in the order in which they are shown, each run of a font for itself; a line ends where its block does.
fn texts(pdf: &[u8]) -> String {
    let (mut out, mut at, mut wide) = (String::new(), 0, false);
    while at < pdf.len() {
        let rest = &pdf[at..];
        if rest.starts_with(b"/F") && rest.get(3) == Some(&b' ') {
            wide = matches!(rest[2], b'5' | b'6');
        }
        if rest.starts_with(b"ET\n") {
            out.push('\n');
        }
        let (bytes, length) = string(rest);
        at += length.max(1);
        if length == 0 || !pdf[at..].starts_with(b" Tj") {
            continue;
        }
        if wide {
            let units: Vec<u16> = bytes.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            out.push_str(&String::from_utf16_lossy(&units));
        } else {
            out.extend(bytes.iter().map(|byte| char::from(*byte)));
        }
    }
    out
}

/// A string at the beginning of `rest`, and how long it is there.
fn string(rest: &[u8]) -> (Vec<u8>, usize) {
    if rest.first() == Some(&b'<') && rest.get(1) != Some(&b'<') {
        let Some(end) = rest.iter().position(|byte| *byte == b'>') else { return (vec![], 0) };
        return data_encoding::HEXUPPER.decode(&rest[1..end]).map_or((vec![], 0), |bytes| (bytes, end + 1));
    }
    if rest.first() != Some(&b'(') {
        return (vec![], 0);
    }
    let (mut bytes, mut depth, mut at) = (Vec::new(), 1, 1);
    while at < rest.len() {
        match rest[at] {
            b'\\' if rest.get(at + 1).is_some_and(u8::is_ascii_digit) => {
                let digits = std::str::from_utf8(&rest[at + 1..at + 4]).unwrap();
                bytes.push(u8::from_str_radix(digits, 8).unwrap());
                at += 3;
            }
            b'\\' => {
                at += 1;
                bytes.push(rest[at]);
            }
            b'(' => {
                depth += 1;
                bytes.push(b'(');
            }
            b')' if depth == 1 => return (bytes, at + 1),
            b')' => {
                depth -= 1;
                bytes.push(b')');
            }
            byte => bytes.push(byte),
        }
        at += 1;
    }
    (vec![], 0)
}

#[test]
fn everything_on_the_sheet_is_in_the_file() {
    for (kind, lang) in Kind::ALL.into_iter().flat_map(|kind| Lang::ALL.map(|lang| (kind, lang))) {
        let sheet = sample(kind, lang).sheet();
        let pdf = render(&sheet);
        assert_eq!((pages(&pdf), pdf.starts_with(b"%PDF-1.")), (1, true));
        let found = texts(&pdf).replace('\n', "");
        let pairs = sheet.facts.iter().chain(&sheet.lines).chain(&sheet.parts).chain([&sheet.total]);
        let wanted = pairs.flat_map(|(a, b)| [a, b]).chain(&sheet.seller).chain(&sheet.buyer).chain(&sheet.notes).chain([&sheet.heading, &sheet.footer]);
        for text in wanted {
            assert!(found.contains(text.as_str()) || is_broken(&found, text), "{text:?} in {found}");
        }
    }
}

/// Whether a text is there with the space at its ends of lines left out.
fn is_broken(found: &str, text: &str) -> bool {
    let bare = |text: &str| text.chars().filter(|c| !c.is_whitespace() && c.is_alphanumeric()).collect::<String>();
    bare(found).contains(&bare(text))
}

#[test]
fn the_same_document_makes_the_same_file() {
    let document = sample(Kind::Invoice, Lang::Zh);
    assert_eq!(render(&document.sheet()), render(&Document::read(&document.write()).unwrap().sheet()));
    let other = Document { number: "INV-0018".into(), ..document.clone() };
    assert_ne!(render(&document.sheet()), render(&other.sheet()));
}

#[test]
fn hostile_texts_fill_pages_and_break_nothing() {
    let mut document = sample(Kind::Invoice, Lang::En);
    document.buyer.name = "W".repeat(1_000);
    document.buyer.address = "長\n".repeat(120);
    document.seller.name = "a\u{202E}b\u{0}c\u{200F})(\\ \u{1F600} ئ".into();
    document.footer = "footer\n".repeat(60);
    document.line.text = "字".repeat(1_000);
    let pdf = render(&document.sheet());
    assert!((3..20).contains(&pages(&pdf)), "{}", pages(&pdf));
    let found = texts(&pdf);
    assert_eq!(found.matches('W').count(), 1_000);
    assert_eq!(found.matches('字').count(), 1_000);
    assert_eq!(found.matches("footer").count(), 60);
    assert!(found.contains("a?b?c?)(\\ ? ?"), "{found}");
    let last = format!("Page {n} of {n}", n = pages(&pdf));
    assert!(found.contains(&last), "{last}");
}
