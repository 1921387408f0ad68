//! Holds the code, the templates and the two tables to each other.

use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn table(lang: Lang) -> BTreeMap<String, String> {
    let messages = crate::_rust_i18n_backend().messages_for_locale(lang.code()).expect("the table exists");
    messages.into_iter().map(|(key, text)| (key.into_owned(), text.into_owned())).collect()
}

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("the folder exists") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, out);
        } else {
            out.push(path);
        }
    }
}

/// Every text between quotes that has the shape of a key: lower-case words joined by dots.
fn quoted_keys(source: &str) -> BTreeSet<String> {
    let word = |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let is_key = |text: &str| text.contains('.') && text.split('.').all(word);
    source.split('"').filter(|text| is_key(text)).map(str::to_owned).collect()
}

/// Keys asked for in so many words: `t("...")` and `with("...", ...)`.
fn asked_keys(source: &str) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for call in [".t(\"", ".with(\"", ".with2(\""] {
        for rest in source.split(call).skip(1) {
            // Other things have a `with` too: a key begins with a small letter.
            keys.extend(rest.split('"').next().filter(|key| key.starts_with(|c: char| c.is_ascii_lowercase())).map(str::to_owned));
        }
    }
    keys
}

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    files(&root.join("src"), &mut paths);
    files(&root.join("templates"), &mut paths);
    // The simulated provider's events have names that look like keys.
    paths.retain(|path| !path.starts_with(root.join("src/i18n")) && !path.starts_with(root.join("src/demo/stripe")));
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(&path).expect("text"))).collect()
}

#[test]
fn both_languages_have_the_same_keys_with_the_same_arguments_and_no_empty_text() {
    let (en, zh) = (table(Lang::En), table(Lang::Zh));
    assert_eq!(en.keys().collect::<Vec<_>>(), zh.keys().collect::<Vec<_>>());
    let arguments = |text: &str| text.split("%{").skip(1).filter_map(|rest| rest.split('}').next().map(str::to_owned)).collect::<BTreeSet<_>>();
    for (key, text) in &en {
        assert!(!text.trim().is_empty() && !zh[key].trim().is_empty(), "{key} is empty");
        assert_eq!(arguments(text), arguments(&zh[key]), "{key}");
    }
}

#[test]
fn every_key_that_is_asked_for_exists() {
    let known = table(Lang::En);
    let rooms: BTreeSet<&str> = known.keys().filter_map(|key| key.split('.').next()).collect();
    let mut missing = Vec::new();
    for (path, text) in sources() {
        let mut wanted = asked_keys(&text);
        wanted.extend(quoted_keys(&text).into_iter().filter(|key| rooms.contains(key.split('.').next().unwrap_or_default())));
        missing.extend(wanted.into_iter().filter(|key| !known.contains_key(key)).map(|key| format!("{key} in {}", path.display())));
    }
    assert!(missing.is_empty(), "not in locales/en.yml: {missing:#?}");
}

#[test]
fn every_key_of_the_table_is_used() {
    let used: BTreeSet<String> = sources().iter().flat_map(|(_, text)| quoted_keys(text)).collect();
    let idle: Vec<_> = table(Lang::En).into_keys().filter(|key| !used.contains(key)).collect();
    assert!(idle.is_empty(), "in locales/en.yml but used nowhere: {idle:#?}");
}

#[test]
fn the_browser_says_which_language() {
    for (header, lang) in [
        ("", Lang::En),
        ("zh-CN,zh;q=0.9,en;q=0.8", Lang::Zh),
        ("en-GB;q=0.5, zh;q=0.7", Lang::Zh),
        ("fr, en;q=0.3, zh;q=0.2", Lang::En),
        ("zh;q=0", Lang::En),
        ("zh;q=9", Lang::En),
        ("ja", Lang::En),
    ] {
        assert_eq!(Lang::from_accept_language(header), lang, "{header}");
    }
    assert_eq!(Lang::parse("zh_TW"), Some(Lang::Zh));
    assert_eq!(Lang::parse("english"), None);
}
