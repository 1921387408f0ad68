//! What may stand on a document: texts that print as what they are.

/// Whether a character cannot be seen, or changes how others are read: control characters, marks of direction, joiners.
pub fn is_invisible(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}'
            | '\u{E0000}'..='\u{E007F}')
}

/// One line from a form, perhaps empty.
///
/// # Errors
/// The translation key of what is wrong.
pub fn line(text: &str, most: usize) -> Result<String, &'static str> {
    let text = text.trim();
    match text {
        _ if text.chars().any(is_invisible) => Err("bill.error.invisible"),
        _ if text.chars().count() > most => Err("bill.error.too_long"),
        _ => Ok(text.to_owned()),
    }
}

/// A few lines from a form, perhaps none.
///
/// # Errors
/// The translation key of what is wrong.
pub fn lines(text: &str, most: usize, most_lines: usize) -> Result<String, &'static str> {
    let lines: Vec<&str> = text.trim().lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let text = lines.join("\n");
    match () {
        () if lines.iter().any(|line| line.chars().any(is_invisible)) => Err("bill.error.invisible"),
        () if lines.len() > most_lines => Err("bill.error.too_many_lines"),
        () if text.chars().count() > most => Err("bill.error.too_long"),
        () => Ok(text),
    }
}

/// A text from elsewhere as one line of a document: what cannot be seen is left out, what is too long is cut.
pub fn clean(text: &str, most: usize) -> String {
    let spaced: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !is_invisible(*c)).collect();
    let mut line = spaced.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(most) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_that_do_not_print_as_what_they_are_are_refused() {
        assert_eq!(line("  Ann Müller 北京 ", 20), Ok("Ann Müller 北京".to_owned()));
        assert_eq!(line("", 20), Ok(String::new()));
        for bad in ["a\u{202E}b", "a\u{200F}", "a\nb", "a\u{0}b", "a\u{2066}b", "a\u{200B}b", "\u{FEFF}a"] {
            assert_eq!(line(bad, 20), Err("bill.error.invisible"), "{bad:?}");
        }
        assert_eq!(line(&"字".repeat(21), 20), Err("bill.error.too_long"));
        assert_eq!(lines(" a \r\n\r\n b\n", 20, 2), Ok("a\nb".to_owned()));
        assert_eq!(lines("a\nb\nc", 20, 2), Err("bill.error.too_many_lines"));
        assert_eq!(lines("a\n\u{202A}b", 20, 2), Err("bill.error.invisible"));
        assert_eq!(lines(&"a".repeat(21), 20, 2), Err("bill.error.too_long"));
    }

    #[test]
    fn what_comes_from_elsewhere_is_made_one_line() {
        assert_eq!(clean(" a\u{202E}\n\tb\u{7} ", 10), "a b");
        assert_eq!(clean(&"字".repeat(30), 10), format!("{}…", "字".repeat(10)));
        assert_eq!(clean("\u{200B}", 10), "");
    }
}
