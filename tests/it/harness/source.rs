//! The program's own source, for the tests that keep its shape.

use std::ops::Range;
use std::path::{Path, PathBuf};

/// A file of `src/`, taken apart far enough to tell code from strings and comments.
pub struct SourceFile {
    /// Its path under `src/`.
    pub path: String,
    /// The code: comments and the insides of literals are blank, every byte stands where it stood.
    pub code: String,
    /// String literals: where they begin, and what is inside.
    pub strings: Vec<(usize, String)>,
}

/// Every file of `src/`.
pub fn all() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    let read = |path: &PathBuf| {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
        SourceFile::parse(&name, &std::fs::read_to_string(path).unwrap())
    };
    paths.iter().map(read).collect()
}

fn walk(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, paths);
        } else if path.extension().is_some_and(|e| e == "rs") {
            paths.push(path);
        }
    }
}

impl SourceFile {
    /// Takes a text apart.
    pub fn parse(path: &str, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut code = bytes.to_vec();
        let mut strings = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let (end, inside) = match literal_at(bytes, at) {
                Some(found) => found,
                None => {
                    at += 1;
                    continue;
                }
            };
            if let Some(inside) = inside {
                strings.push((at, text[inside].to_owned()));
            }
            for byte in code[at..end].iter_mut().filter(|byte| **byte != b'\n') {
                *byte = b' ';
            }
            at = end;
        }
        Self { path: path.to_owned(), code: String::from_utf8(code).unwrap(), strings }
    }

    /// The spans that begin with `opening` and go to the bracket that closes its last character.
    pub fn spans(&self, opening: &str) -> Vec<Range<usize>> {
        let (open, close) = if opening.ends_with('{') { (b'{', b'}') } else { (b'(', b')') };
        let from = |start: usize| {
            let mut depth = 0;
            let rest = self.code.as_bytes()[start + opening.len() - 1..].iter();
            let length = rest.take_while(|&&byte| {
                depth += i32::from(byte == open) - i32::from(byte == close);
                depth > 0
            });
            start..start + opening.len() - 1 + length.count()
        };
        self.code.match_indices(opening).map(|(start, _)| from(start)).collect()
    }
}

/// What begins at `at` and is not code: where it ends, and the inside of a string.
fn literal_at(bytes: &[u8], at: usize) -> Option<(usize, Option<Range<usize>>)> {
    let rest = &bytes[at..];
    let until = |what: &[u8], from: usize| bytes[from..].windows(what.len()).position(|w| w == what).map_or(bytes.len(), |n| from + n);
    let inside_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    if rest.starts_with(b"//") {
        return Some((until(b"\n", at), None));
    }
    if rest.starts_with(b"/*") {
        return Some((until(b"*/", at) + 2, None));
    }
    if rest[0] == b'r' && !inside_word {
        let hashes = rest[1..].iter().take_while(|&&b| b == b'#').count();
        if rest.get(1 + hashes) == Some(&b'"') {
            let start = at + 2 + hashes;
            let end = until(format!("\"{}", "#".repeat(hashes)).as_bytes(), start);
            return Some((end + 1 + hashes, Some(start..end)));
        }
    }
    if rest[0] == b'"' {
        let mut end = at + 1;
        while end < bytes.len() && bytes[end] != b'"' {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        return Some((end + 1, Some(at + 1..end)));
    }
    if rest[0] == b'\'' {
        // A character, not a lifetime: one (perhaps escaped) character and a quote.
        let length = if rest.get(1) == Some(&b'\\') { rest[2..].iter().skip(1).position(|&b| b == b'\'').map(|n| n + 4) } else { quoted(rest) };
        return length.map(|length| (at + length, None));
    }
    None
}

fn quoted(rest: &[u8]) -> Option<usize> {
    let width = std::str::from_utf8(&rest[1..rest.len().min(5)]).map_or_else(|e| e.valid_up_to().max(1), str::len).min(4);
    (1..=width).find(|n| rest.get(1 + n) == Some(&b'\'')).filter(|&n| std::str::from_utf8(&rest[1..1 + n]).is_ok_and(|c| c.chars().count() == 1)).map(|n| n + 2)
}

#[test]
fn code_is_told_from_strings_and_comments() {
    let file = SourceFile::parse("x.rs", "a(\"s\\\"}\", r#\"raw \"\"#, '\\'', '\"', 'é', b'{', &'a str); // use crate::web\n/* \" */ f({ \"}\" })");
    let insides: Vec<&str> = file.strings.iter().map(|(_, text)| text.as_str()).collect();
    assert_eq!(insides, ["s\\\"}", "raw \"", "}"]);
    assert!(!file.code.contains("crate::web") && file.code.contains("'a str"));
    assert_eq!(file.spans("f({").len(), 1);
    assert!(file.spans("f({")[0].contains(&file.strings[2].0));
}
