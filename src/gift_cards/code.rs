//! What a code looks like: 21 random letters (105 bits) and 3 that prove them, in groups of four.
//!
//! The alphabet has no two letters that look alike (no I, L, O or U). What is typed may be in lower case, without
//! hyphens, with spaces, in full-width letters, and with the look-alikes that people read into it. A prefix that a batch has stands before
//! it for people; it says nothing, and may be left out or misspelt.

use crate::kernel::Random;
use crate::kernel::secrets::{self, Secret};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const RANDOM_LEN: usize = 21;
const CHECK_LEN: usize = 3;
const LEN: usize = RANDOM_LEN + CHECK_LEN;
const GROUP: usize = 4;
/// The longest prefix, and the shortest: one letter more than a code has is a slip.
pub(super) const MAX_PREFIX: usize = 12;
const MIN_PREFIX: usize = 2;
/// Longer texts are no code, whatever they contain.
const MAX_TYPED: usize = 200;

/// A well-formed code. That such a card exists is for the database to say.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Code(String);

impl Code {
    /// A new one.
    pub(super) fn generate(random: &Random) -> Self {
        let mut text: String = random.bytes::<RANDOM_LEN>().iter().map(|byte| letter(u64::from(*byte))).collect();
        text.extend(checksum(&text));
        Self(text)
    }

    /// Reads what was typed. None when it cannot be a code.
    pub(super) fn parse(typed: &str) -> Option<Self> {
        if typed.len() > MAX_TYPED {
            return None;
        }
        let typed: Vec<char> = typed.chars().filter(|&c| !is_separator(c)).map(narrow).collect();
        let (prefix, code) = typed.split_at(typed.len().checked_sub(LEN)?);
        let is_prefix = prefix.is_empty() || (MIN_PREFIX..=MAX_PREFIX).contains(&prefix.len()) && prefix.iter().all(char::is_ascii_alphanumeric);
        let text: String = code.iter().copied().map(letter_of).collect::<Option<_>>()?;
        let (random, check) = text.split_at(RANDOM_LEN);
        (is_prefix && checksum(random).into_iter().eq(check.chars())).then_some(Self(text))
    }

    /// How the code is stored.
    pub(super) fn hash(&self) -> String {
        secrets::hash(&self.0)
    }

    /// The last four letters, by which a card is told from its neighbours.
    pub(super) fn tail(&self) -> &str {
        &self.0[LEN - GROUP..]
    }

    /// The code as it is handed out: the batch's prefix and groups of four, with hyphens between.
    pub(super) fn display(&self, prefix: &str) -> Secret<String> {
        let groups = (0..LEN).step_by(GROUP).map(|at| &self.0[at..at + GROUP]);
        let all: Vec<&str> = Some(prefix).filter(|prefix| !prefix.is_empty()).into_iter().chain(groups).collect();
        Secret::new(all.join("-"))
    }
}

impl std::fmt::Debug for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Code([secret])")
    }
}

fn letter(bits: u64) -> char {
    ALPHABET[(bits & 31) as usize] as char
}

/// Fifteen bits of SHA-256 over the random part.
fn checksum(random: &str) -> [char; CHECK_LEN] {
    let digest = secrets::digest(random);
    std::array::from_fn(|at| letter(u64::from(digest[at])))
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, '-' | '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{FF0D}' | '_' | '.')
}

/// The last letters of a code as they were typed, for a search: as many as [`Code::tail`] has, or none.
pub(super) fn typed_tail(typed: &str) -> Option<String> {
    if typed.len() > MAX_TYPED {
        return None;
    }
    let letters: Vec<char> = typed.chars().filter(|&c| !is_separator(c)).map(narrow).collect();
    let from = letters.len().checked_sub(GROUP)?;
    letters[from..].iter().copied().map(letter_of).collect()
}

/// A batch's prefix: capital letters and digits.
pub(super) fn prefix(typed: &str) -> Option<String> {
    let text: String = typed.trim().chars().map(narrow).collect::<String>().to_ascii_uppercase();
    let good = text.is_empty() || (MIN_PREFIX..=MAX_PREFIX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    good.then_some(text)
}

/// Full-width forms, as an input method for Chinese makes them, stand in the order of ASCII.
fn narrow(c: char) -> char {
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(c as u32 - 0xFEE0).unwrap_or(c),
        other => other,
    }
}

fn letter_of(c: char) -> Option<char> {
    match c.to_ascii_uppercase() {
        'O' => Some('0'),
        'I' | 'L' => Some('1'),
        upper if upper.is_ascii() && ALPHABET.contains(&(upper as u8)) => Some(upper),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_grouped_and_read_back_however_they_are_typed() {
        let random = Random::seeded(1);
        for _ in 0..200 {
            let code = Code::generate(&random);
            let shown = code.display("");
            let shown = shown.reveal();
            assert_eq!((shown.len(), shown.split('-').count()), (29, 6));
            assert!(shown.ends_with(code.tail()) && code.tail().len() == 4);
            let wide: String = shown.chars().filter_map(|c| char::from_u32(c as u32 + 0xFEE0)).collect();
            for typed in [
                shown.clone(),
                shown.to_lowercase(),
                shown.replace('-', ""),
                format!("  {}\n", shown.replace('-', " ")),
                shown.replace('-', "\u{2013}"),
                shown.replace('0', "o").replace('1', "l"),
                wide,
            ] {
                assert_eq!(Code::parse(&typed), Some(code.clone()), "{typed}");
            }
        }
    }

    #[test]
    fn typos_and_other_texts_are_no_codes() {
        let code = Code::generate(&Random::seeded(2));
        let shown = code.display("");
        let shown = shown.reveal();
        for at in 0..shown.len() {
            let mut typo = shown.clone().into_bytes();
            if typo[at] != b'-' {
                typo[at] = if typo[at] == b'7' { b'8' } else { b'7' };
                assert_eq!(Code::parse(std::str::from_utf8(&typo).unwrap()), None, "position {at}");
            }
        }
        let (longer, huge) = (format!("{shown}0"), "0".repeat(100_000));
        for bad in ["", "-", "U", "gift", &shown[1..], &longer, &huge, "礼品卡礼品卡礼品卡礼品卡"] {
            assert_eq!(Code::parse(bad), None);
        }
    }

    #[test]
    fn a_prefix_is_for_people() {
        let code = Code::generate(&Random::seeded(4));
        let shown = code.display("SUMMER26");
        let shown = shown.reveal();
        assert!(shown.starts_with("SUMMER26-") && shown.len() == 38, "{shown}");
        for typed in [shown.clone(), shown.to_lowercase().replace('-', " "), shown.replace("SUMMER26", "sumer26"), shown.replace("SUMMER26-", "")] {
            assert_eq!(Code::parse(&typed), Some(code.clone()), "{typed}");
        }
        for bad in [format!("X{shown}-"), shown.replace("SUMMER26", "SOMEWHATTOOLONG"), shown.replace("SUMMER26", "夏天")] {
            assert_eq!(Code::parse(&bad).is_some(), bad.starts_with("XSUMMER26"), "{bad}");
        }
        assert_eq!(prefix(" spring "), Some("SPRING".into()));
        assert_eq!((prefix(""), prefix("\u{FF21}\u{FF22}")), (Some(String::new()), Some("AB".into())));
        for bad in ["x", "a b", "a-b", "夏天", "ABCDEFGHIJKLM"] {
            assert_eq!(prefix(bad), None, "{bad}");
        }
        assert_eq!(typed_tail(&shown.to_lowercase()), Some(code.tail().to_owned()));
        assert_eq!((typed_tail("o1l"), typed_tail("...o1lz"), typed_tail("abc?")), (None, Some("011Z".into()), None));
    }

    #[test]
    fn codes_differ_and_do_not_print() {
        let random = Random::seeded(3);
        let mut seen = std::collections::HashSet::new();
        assert!((0..1000).all(|_| seen.insert(Code::generate(&random).hash())));
        assert_eq!(format!("{:?}", Code::generate(&random)), "Code([secret])");
    }
}
