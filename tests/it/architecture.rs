//! Who may call whom: kernel <- db <- features <- {relay, web} <- app. Read from the paths that begin with `crate`, or climb to it.

use crate::harness::{source, source::SourceFile};
use std::collections::{BTreeMap, BTreeSet};

/// What stands above the features.
const UPPER: [&str; 7] = ["relay", "web", "app", "router", "cli", "demo", "main"];
/// Macros, which stand at the root but belong to no room.
fn is_macro(name: &str) -> bool {
    name == "statements" || name.starts_with("_rust_i18n")
}

/// Whether the room `from` may use the room `to`.
fn may_use(from: &str, to: &str) -> bool {
    match from {
        "kernel" | "failpoint" => false,
        "db" => to == "kernel",
        "ledger" => ["kernel", "db", "failpoint"].contains(&to),
        "relay" => !["web", "payments", "mail", "demo", "app", "router", "cli", "main"].contains(&to),
        "web" => !["relay", "demo", "cli", "main"].contains(&to),
        "demo" => !["web", "relay", "cli", "main"].contains(&to),
        "router" => !["demo", "cli", "main"].contains(&to),
        "app" => !["web", "cli", "main"].contains(&to),
        "cli" | "main" | "lib" => to != "web",
        _feature => !UPPER.contains(&to),
    }
}

/// The room that a file belongs to.
fn room(path: &str) -> &str {
    path.split('/').next().unwrap().trim_end_matches(".rs")
}

/// How many modules a file's own module is below the root.
fn depth(path: &str) -> usize {
    path.trim_end_matches("/mod.rs").split('/').count()
}

/// The rooms that a file uses, its own left out.
fn uses(file: &SourceFile, rooms: &BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for (at, _) in file.code.match_indices("crate::").filter(|(at, _)| !file.code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$')) {
        found.extend(heads(&file.code[at + "crate::".len()..]));
    }
    // `super::super::web` reaches the root, too. An inline module may climb one more, so climbing far enough is what counts.
    let climb = "super::".repeat(depth(&file.path));
    for (at, _) in file.code.match_indices(&climb) {
        let rest = file.code[at..].trim_start_matches("super::");
        found.extend(heads(rest).into_iter().filter(|head| rooms.contains(head)));
    }
    // A binary names the library, not the crate.
    for (at, _) in file.code.match_indices("farebox::").filter(|_| file.path == "main.rs") {
        found.extend(heads(&file.code[at + "farebox::".len()..]));
    }
    found.retain(|name| name != room(&file.path) && !is_macro(name));
    found
}

/// The first names of `a::b`, or of each path in `{a::b, c::{d, e}}`.
fn heads(text: &str) -> Vec<String> {
    let name = |text: &str| text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let Some(group) = text.strip_prefix('{') else { return vec![name(text)] };
    let mut depth = 1;
    let mut parts = vec![String::new()];
    for c in group.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c {
            _ if depth == 0 => break,
            ',' if depth == 1 => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(c),
        }
    }
    parts.iter().map(|part| name(part)).filter(|name| !name.is_empty()).collect()
}

fn all_rooms(files: &[SourceFile]) -> BTreeSet<String> {
    files.iter().map(|file| room(&file.path).to_owned()).collect()
}

#[test]
fn no_room_uses_what_stands_above_it() {
    let files = source::all();
    let rooms = all_rooms(&files);
    let mut breaches = Vec::new();
    let mut edges = 0;
    for file in &files {
        for used in uses(file, &rooms) {
            assert!(rooms.contains(&used), "src/{}: `crate::{used}` is no room that this test knows", file.path);
            edges += 1;
            if !may_use(room(&file.path), &used) {
                breaches.push(format!("src/{} uses {used}", file.path));
            }
        }
    }
    assert!(edges > 50, "the paths were not found");
    assert!(breaches.is_empty(), "against the order of the rooms: {breaches:#?}");
}

#[test]
fn features_do_not_use_each_other_in_circles() {
    let files = source::all();
    let rooms = all_rooms(&files);
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| !UPPER.contains(&room(&file.path)) && file.path != "lib.rs") {
        graph.entry(room(&file.path).to_owned()).or_default().extend(uses(file, &rooms));
    }
    // Rooms that use nothing that is left go, until none does: what remains goes in circles.
    loop {
        let free: Vec<String> = graph.iter().filter(|(_, uses)| !uses.iter().any(|used| graph.contains_key(used))).map(|(room, _)| room.clone()).collect();
        if free.is_empty() {
            break;
        }
        graph.retain(|room, _| !free.contains(room));
    }
    assert!(graph.is_empty(), "rooms that use each other in a circle: {graph:#?}");
}

#[test]
fn a_breach_is_found() {
    let rooms: BTreeSet<String> = ["web", "ledger", "db", "kernel", "relay"].map(String::from).into();
    let used = |path: &str, text: &str| uses(&SourceFile::parse(path, text), &rooms).into_iter().collect::<Vec<_>>();
    assert_eq!(used("ledger/books.rs", "use crate::{db::{Conn, Tx}, kernel::Id,\n web::x}; fn f() { crate::relay::g() }"), ["db", "kernel", "relay", "web"]);
    assert_eq!(used("ledger/books.rs", "use super::super::web::x; use super::db; // use crate::relay"), ["web"]);
    assert_eq!(used("ledger/mod.rs", "use super::web; mod tests { use super::*; }"), ["web"]);
    assert!(used("ledger/mod.rs", "$crate::web; mycrate::web; use crate::ledger::x; let s = \"crate::web\";").is_empty());
    assert!(!may_use("ledger", "usage") && !may_use("usage", "web") && !may_use("relay", "mail") && !may_use("db", "ledger"));
    assert!(may_use("payments", "ledger") && !may_use("ledger", "payments") && may_use("relay", "ledger"));
}
