//! Rows of text that fit their places, laid out on as many pages as they need.

use super::fonts::{Weight, glyph};

/// A4, in points.
pub const PAGE: (f32, f32) = (595.28, 841.89);
/// The empty border.
pub const MARGIN: f32 = 56.0;
/// Where the rows end and the foot of a page begins.
const BOTTOM: f32 = MARGIN + 54.0;

/// How text looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// In points.
    pub size: f32,
    pub weight: Weight,
    /// From 0, black, to 1, white.
    pub gray: f32,
}

/// A line of text at its place in a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Of its left end, or of its right end when it is set against that.
    pub x: f32,
    pub right: bool,
    pub text: String,
    pub style: Style,
}

/// What stands side by side.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    pub height: f32,
    pub cells: Vec<Cell>,
    /// A line from margin to margin above it.
    pub rule: bool,
}

/// A row at its place: how high above the page's lower end its text stands.
pub type Placed = (f32, Row);

/// How wide a text is, in points.
pub fn width(text: &str, style: Style) -> f32 {
    text.chars().map(|c| f32::from(glyph(c, style.weight).width)).sum::<f32>() * style.size / 1000.0
}

/// Breaks a text into lines that are not wider than `most`: between words, beside Chinese characters, and inside a word that is too long for a line.
pub fn wrap(text: &str, style: Style, most: f32) -> Vec<String> {
    text.lines().flat_map(|line| wrap_line(line, style, most)).collect()
}

fn wrap_line(text: &str, style: Style, most: f32) -> Vec<String> {
    let (mut lines, mut line, mut used) = (Vec::new(), String::new(), 0.0);
    for piece in pieces(text) {
        let wide = width(piece.trim_end(), style);
        if used + wide > most && !line.trim_end().is_empty() {
            lines.push(line.trim_end().to_owned());
            (line, used) = (String::new(), 0.0);
        }
        if wide <= most {
            line.push_str(piece);
            used += width(piece, style);
            continue;
        }
        for c in piece.chars() {
            let wide = f32::from(glyph(c, style.weight).width) * style.size / 1000.0;
            if used + wide > most && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
                used = 0.0;
            }
            line.push(c);
            used += wide;
        }
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// The parts between which a line may be broken; space belongs to the part before it.
fn pieces(text: &str) -> Vec<&str> {
    let (mut pieces, mut start, mut last) = (Vec::new(), 0, None);
    for (at, c) in text.char_indices() {
        let breaks =
            last.is_some_and(|last: char| (last == ' ' && c != ' ') || (is_wide(last) && c != ' ' && !closes(c)) || (is_wide(c) && last != ' ' && !closes(c)));
        if breaks {
            pieces.push(&text[start..at]);
            start = at;
        }
        last = Some(c);
    }
    pieces.push(&text[start..]);
    pieces
}

fn is_wide(c: char) -> bool {
    c >= '\u{2E80}'
}

/// No line begins with it.
fn closes(c: char) -> bool {
    "，。、；：！？）》」』】％…,.;:!?)]}%".contains(c)
}

/// Puts rows on pages, from the top of each down.
pub fn paginate(rows: Vec<Row>) -> Vec<Vec<Placed>> {
    let (mut pages, mut page, mut y) = (Vec::new(), Vec::new(), PAGE.1 - MARGIN);
    for row in rows {
        if y - row.height < BOTTOM && !page.is_empty() {
            pages.push(std::mem::take(&mut page));
            y = PAGE.1 - MARGIN;
        }
        y -= row.height;
        page.push((y, row));
    }
    pages.push(page);
    pages
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { size: 10.0, weight: Weight::Plain, gray: 0.0 };

    #[test]
    fn lines_break_between_words_and_beside_chinese_characters() {
        assert_eq!(wrap("one two three", STYLE, 40.0), ["one two", "three"]);
        assert_eq!(wrap("one\n\ntwo", STYLE, 400.0), ["one", "", "two"]);
        assert_eq!(wrap("账户余额，充值", STYLE, 45.0), ["账户余", "额，充值"]);
        assert_eq!(wrap("", STYLE, 40.0), Vec::<String>::new());
        assert_eq!(wrap("mmmmmmmmmm", STYLE, 30.0).concat(), "mmmmmmmmmm");
    }

    #[test]
    fn no_line_is_too_wide_whatever_the_text() {
        for text in ["i".repeat(1000), "W".repeat(1000), "字".repeat(1000), "a 字".repeat(300), " ".repeat(500), format!("{} x", "-".repeat(400))] {
            for line in wrap(&text, STYLE, 120.0) {
                assert!(width(&line, STYLE) <= 120.0, "{line}");
            }
        }
    }

    #[test]
    fn a_page_that_is_full_is_followed_by_another_one() {
        let row = |height| Row { height, ..Row::default() };
        assert_eq!(paginate(vec![]).len(), 1);
        let pages = paginate((0..100).map(|_| row(20.0)).collect());
        assert!(pages.len() > 2 && pages.iter().flatten().all(|(y, _)| *y >= BOTTOM));
        assert_eq!(pages.iter().map(Vec::len).sum::<usize>(), 100);
        assert_eq!(paginate(vec![row(10_000.0), row(10.0)]).len(), 2, "what fits no page has one for itself");
    }
}
