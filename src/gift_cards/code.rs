//! What a code looks like: 21 random letters (105 bits) and 3 that prove them, in groups of four.
//!
//! The alphabet has no two letters that look alike (no I, L, O or U). What is typed may be in lower case, without
//! hyphens, with spaces, in full-width letters, and with the look-alikes that people read into it.

use crate::kernel::Random;
use crate::kernel::secrets::{self, Secret};

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const RANDOM_LEN: usize = 21;
const CHECK_LEN: usize = 3;
const LEN: usize = RANDOM_LEN + CHECK_LEN;
const GROUP: usize = 4;
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
        let text: String = typed.chars().filter(|&c| !is_separator(c)).map(plain).collect::<Option<_>>()?;
        let (random, check) = (text.len() == LEN).then(|| text.split_at(RANDOM_LEN))?;
        checksum(random).into_iter().eq(check.chars()).then_some(Self(text))
    }

    /// How the code is stored.
    pub(super) fn hash(&self) -> String {
        secrets::hash(&self.0)
    }

    /// The last four letters, by which a card is told from its neighbours.
    pub(super) fn tail(&self) -> &str {
        &self.0[LEN - GROUP..]
    }

    /// The code as it is handed out: groups of four with hyphens between.
    pub(super) fn display(&self) -> Secret<String> {
        let groups: Vec<&str> = (0..LEN).step_by(GROUP).map(|at| &self.0[at..at + GROUP]).collect();
        Secret::new(groups.join("-"))
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

fn plain(c: char) -> Option<char> {
    // Full-width forms, as an input method for Chinese makes them, stand in the order of ASCII.
    let c = match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(c as u32 - 0xFEE0)?,
        other => other,
    };
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
            let shown = code.display();
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
        let shown = code.display();
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
    fn codes_differ_and_do_not_print() {
        let random = Random::seeded(3);
        let mut seen = std::collections::HashSet::new();
        assert!((0..1000).all(|_| seen.insert(Code::generate(&random).hash())));
        assert_eq!(format!("{:?}", Code::generate(&random)), "Code([secret])");
    }
}
