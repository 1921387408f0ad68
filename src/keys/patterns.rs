//! Names of models in a list, exact or with `*`, which stands for any characters or for none.

use serde::{Deserialize, Serialize};

/// How many names a list may have.
pub const MAX_PATTERNS: usize = 200;

/// Which models a key may call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelRule {
    /// Only those in the list.
    Allow(Vec<String>),
    /// All but those in the list.
    Deny(Vec<String>),
}

impl ModelRule {
    /// Whether it lets a model through.
    pub fn lets(&self, model: &str) -> bool {
        match self {
            ModelRule::Allow(patterns) => patterns.iter().any(|pattern| matches(pattern, model)),
            ModelRule::Deny(patterns) => !patterns.iter().any(|pattern| matches(pattern, model)),
        }
    }

    /// The list.
    pub fn patterns(&self) -> &[String] {
        match self {
            ModelRule::Allow(patterns) | ModelRule::Deny(patterns) => patterns,
        }
    }
}

/// Whether a name is what the pattern says. Takes at most as many steps as the two are long multiplied.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where the last star is, and how much of the name it stands for so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(byte) if *byte == name[n] => (p, n) = (p + 1, n + 1),
            _ => {
                let Some((at, taken)) = star else { return false };
                star = Some((at, taken + 1));
                (p, n) = (at + 1, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, yes, no) in [
            ("gpt-4*", &["gpt-4", "gpt-4o", "gpt-4-turbo"][..], &["gpt-3.5", "my-gpt-4", ""][..]),
            ("gpt-4o", &["gpt-4o"], &["gpt-4o-mini", "gpt-4"]),
            ("*", &["", "anything/at:all"], &[]),
            ("*-mini", &["gpt-4o-mini", "-mini"], &["gpt-4o-mini-2024", "mini"]),
            ("vendor/*:free", &["vendor/a:free", "vendor/:free:free"], &["vendor/a", "other/a:free"]),
            ("a*b*c", &["abc", "a--b--c", "abbcc"], &["ab", "acb", "abcd"]),
            ("**", &["x"], &[]),
            ("模型*", &["模型一"], &["模"]),
        ] {
            for name in yes {
                assert!(matches(pattern, name), "{pattern} {name}");
            }
            for name in no {
                assert!(!matches(pattern, name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn a_list_allows_or_denies() {
        let list = || vec!["demo-*".to_owned(), "gpt-4o".to_owned()];
        assert!(ModelRule::Allow(list()).lets("demo-x") && !ModelRule::Allow(list()).lets("claude"));
        assert!(!ModelRule::Deny(list()).lets("demo-x") && ModelRule::Deny(list()).lets("claude"));
        assert!(!ModelRule::Allow(vec![]).lets("x") && ModelRule::Deny(vec![]).lets("x"));
    }

    /// The slow way: a star is tried with every length.
    fn slowly(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|taken| slowly(rest, &name[taken..])),
            Some((byte, rest)) => name.first() == Some(byte) && slowly(rest, &name[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_finds_what_the_slow_way_finds(pattern in "[ab*]{0,8}", name in "[ab]{0,10}") {
            prop_assert_eq!(matches(&pattern, &name), slowly(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
