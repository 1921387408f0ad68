//! Renders every template against sample contexts, in both languages, and holds the templates to the house rules.

use super::page::{Flash, Page, Theme, Tone, Visitor};
use crate::i18n::Lang;
use crate::kernel::pricing::{Rare, Tier};
use crate::kernel::{Price, Usd};
use std::path::{Path, PathBuf};

/// A page context with something in every part.
pub fn sample_page(lang: Lang, here: &str) -> Page {
    Page {
        lang,
        theme: Theme::Dark,
        site: "Tokens & Co".into(),
        base_url: "https://shop.example".into(),
        csrf: "c3Jm".into(),
        here: here.into(),
        visitor: Some(Visitor { email: "ann@example.com".into(), admin: true, verified: false, balance: Some(Usd::dollars(12)) }),
        flashes: vec![Flash { tone: Tone::Good, text: "Done".into() }, Flash { tone: Tone::Bad, text: "<b>".into() }],
    }
}

/// A price for everything that can have one.
pub fn every_rare_price() -> Rare {
    let some = Some(Price(40_000_000));
    let tier = Tier { above: 200_000, input: Price(1), output: Price(2), cached_input: some, cache_write: None, cache_write_1h: some };
    Rare {
        cache_write_1h: some,
        audio_input: some,
        image_input: some,
        reasoning: some,
        audio_output: some,
        image_output: some,
        characters: some,
        audio_minute: some,
        image: some,
        request: some,
        search: some,
        tiers: vec![tier],
    }
}

/// What holds for every page of the site.
pub fn check_page(html: &str) {
    assert_eq!(html.matches("<h1").count(), 1, "one h1: {html}");
    assert!(html.contains("<main id=\"main\""), "{html}");
    assert!(!html.contains(" style=") && !html.contains("<style") && !html.contains("<script>") && !html.contains(" onclick"), "nothing inline: {html}");
    for attribute in ["src=\"", "href=\"", "action=\""] {
        for target in html.split(attribute).skip(1) {
            assert!(target.starts_with(['/', '#']) && !target.starts_with("//"), "only our own host: {target:.60}");
        }
    }
    let forms = html.matches("method=\"post\"").count();
    assert_eq!(forms, html.matches("name=\"csrf\"").count(), "each form carries its token: {html}");
    let mut ids: Vec<&str> = html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    ids.sort_unstable();
    let all = ids.len();
    ids.dedup();
    assert_eq!(all, ids.len(), "ids are unique: {html}");
    for label in html.split("<label for=\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        assert!(ids.contains(&label), "the label of {label} has a field");
    }
    for form in html.split("<form").skip(1).filter_map(|rest| rest.split("</form>").next()) {
        let mut names: Vec<&str> = form.split("<label for=\"").skip(1).filter_map(|rest| rest.split_once('>')?.1.split("</label>").next()).collect();
        names.sort_unstable();
        assert!(names.windows(2).all(|two| two[0] != two[1]), "no two fields of a form have the same name: {names:?}");
    }
}

fn templates() -> Vec<PathBuf> {
    fn walk(folder: &Path, out: &mut Vec<PathBuf>) {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() { walk(&path, out) } else { out.push(path) }
        }
    }
    let mut out = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("templates"), &mut out);
    out
}

/// Takes expressions, comments and tags out of a template: what remains is text that a visitor would read.
fn bare_text(template: &str) -> String {
    let mut out = template.to_owned();
    for (open, close) in [("{#", "#}"), ("{%", "%}"), ("{{", "}}"), ("<", ">")] {
        while let Some(start) = out.find(open) {
            let end = out[start..].find(close).map_or(out.len(), |n| start + n + close.len());
            out.replace_range(start..end, " ");
        }
    }
    out
}

#[test]
fn templates_say_nothing_in_their_own_words() {
    for path in templates() {
        let text = bare_text(&std::fs::read_to_string(&path).unwrap());
        assert!(!text.chars().any(char::is_alphabetic), "{} has words outside the translation table: {:?}", path.display(), text.trim());
    }
    assert!(bare_text("<p>{{ x }}Hello</p>").contains("Hello"));
}
