//! Patterns over names of models: `*` stands for any run of characters, also none; everything else for itself.

/// Whether a name is a pattern rather than the name of one model.
pub fn is_pattern(name: &str) -> bool {
    name.contains('*')
}

/// Whether `pattern` covers `name`. Takes time in proportion to the two lengths multiplied, at worst.
pub fn covers(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(head) else { return false };
    let (middle, tail) = rest.rsplit_once('*').map_or((None, rest), |(middle, tail)| (Some(middle), tail));
    // The end is taken first, so that what stands between can be found from the left without ever going back.
    let Some(stripped) = left.strip_suffix(tail) else { return false };
    left = stripped;
    for part in middle.unwrap_or_default().split('*').filter(|part| !part.is_empty()) {
        match left.find(part) {
            Some(at) => left = &left[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_stand_for_any_run() {
        for (pattern, name) in [
            ("*", ""),
            ("*", "gpt-4o"),
            ("gpt-4*", "gpt-4"),
            ("gpt-4*", "gpt-4o-mini"),
            ("*mini", "gpt-4o-mini"),
            ("a*b*c", "a-b-b-c"),
            ("**", "x"),
            ("a", "a"),
        ] {
            assert!(covers(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("gpt-4*", "gpt-3"), ("*mini", "mini-4"), ("a*a", "a"), ("ab*ba", "aba"), ("a*b*c", "acb"), ("a", "ab"), ("", "a"), ("GPT*", "gpt")]
        {
            assert!(!covers(pattern, name), "{pattern} {name}");
        }
        assert!(is_pattern("a*") && !is_pattern("a?"));
    }

    /// The definition, which goes back where the real one need not.
    fn slowly(pattern: &[u8], name: &[u8]) -> bool {
        match pattern.split_first() {
            None => name.is_empty(),
            Some((b'*', rest)) => (0..=name.len()).any(|at| slowly(rest, &name[at..])),
            Some((byte, rest)) => name.split_first().is_some_and(|(first, left)| first == byte && slowly(rest, left)),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*]{0,7}", name in "[ab]{0,9}") {
            prop_assert_eq!(covers(&pattern, &name), slowly(pattern.as_bytes(), name.as_bytes()));
        }
    }
}
