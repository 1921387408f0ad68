//! Which font shows a character, and how wide it is. No font is embedded: Helvetica is one of the fourteen that every viewer has, Chinese and Korean come
//! from the fonts of the viewer's system by Adobe's collections of characters.
//!
//! The widths are those of Adobe's metrics of the core fonts (AFM), in thousandths of the size.

use unicode_normalization::char::{decompose_canonical, is_combining_mark};

/// Plain or bold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weight {
    #[default]
    Plain,
    Bold,
}

/// A font of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Font {
    /// Helvetica with the characters of Windows' Western set.
    Western,
    WesternBold,
    /// Helvetica with those of Central Europe, Turkey and the Baltic that it has besides.
    Central,
    CentralBold,
    /// Adobe-GB1: Chinese, with kana, Greek and Cyrillic.
    Chinese,
    /// Adobe-Korea1.
    Korean,
}

/// A character as its font codes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glyph {
    pub font: Font,
    /// One byte, or UTF-16.
    pub code: [u8; 4],
    /// How many of them count.
    pub length: usize,
    /// Thousandths of the size.
    pub width: u16,
}

/// The widths of what Helvetica has from the space to the tilde.
#[rustfmt::skip]
const ASCII: [[u16; 95]; 2] = [
    [278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
     1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
     333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584],
    [278, 333, 474, 556, 556, 889, 722, 238, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 333, 333, 584, 584, 584, 611,
     975, 722, 722, 722, 722, 667, 611, 778, 722, 278, 556, 722, 611, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 333, 278, 333, 584, 556,
     333, 556, 611, 556, 611, 556, 333, 611, 611, 278, 278, 556, 278, 889, 611, 611, 611, 611, 389, 556, 333, 611, 556, 778, 556, 556, 500, 389, 280, 389, 584],
];

/// The same from the no-break space to y with a diaeresis, which Windows' set has where Unicode has them.
#[rustfmt::skip]
const LATIN_1: [[u16; 96]; 2] = [
    [278, 333, 556, 556, 556, 556, 260, 556, 333, 737, 370, 556, 584, 333, 737, 333, 400, 584, 333, 333, 333, 556, 537, 278, 333, 333, 365, 556, 834, 834, 834, 611,
     667, 667, 667, 667, 667, 667, 1000, 722, 667, 667, 667, 667, 278, 278, 278, 278, 722, 722, 778, 778, 778, 778, 778, 584, 778, 722, 722, 722, 722, 667, 667, 611,
     556, 556, 556, 556, 556, 556, 889, 500, 556, 556, 556, 556, 278, 278, 278, 278, 556, 556, 556, 556, 556, 556, 556, 584, 611, 556, 556, 556, 556, 500, 556, 500],
    [278, 333, 556, 556, 556, 556, 280, 556, 333, 737, 370, 556, 584, 333, 737, 333, 400, 584, 333, 333, 333, 611, 556, 278, 333, 333, 365, 556, 834, 834, 834, 611,
     722, 722, 722, 722, 722, 722, 1000, 722, 667, 667, 667, 667, 278, 278, 278, 278, 722, 722, 778, 778, 778, 778, 778, 584, 778, 722, 722, 722, 722, 667, 667, 611,
     556, 556, 556, 556, 556, 556, 889, 556, 556, 556, 556, 556, 278, 278, 278, 278, 611, 611, 611, 611, 611, 611, 611, 584, 611, 611, 611, 611, 611, 556, 611, 556],
];

/// What Windows' Western set has from 0x80 to 0x9F: the code, the character, its widths.
#[rustfmt::skip]
const WINDOWS: [(u8, char, [u16; 2]); 27] = [
    (0x80, '€', [556, 556]), (0x82, '‚', [222, 278]), (0x83, 'ƒ', [556, 556]), (0x84, '„', [333, 500]), (0x85, '…', [1000, 1000]), (0x86, '†', [556, 556]),
    (0x87, '‡', [556, 556]), (0x88, 'ˆ', [333, 333]), (0x89, '‰', [1000, 1000]), (0x8A, 'Š', [667, 667]), (0x8B, '‹', [333, 333]), (0x8C, 'Œ', [1000, 1000]),
    (0x8E, 'Ž', [611, 611]), (0x91, '‘', [222, 278]), (0x92, '’', [222, 278]), (0x93, '“', [333, 500]), (0x94, '”', [333, 500]), (0x95, '•', [350, 350]),
    (0x96, '–', [556, 556]), (0x97, '—', [1000, 1000]), (0x98, '˜', [333, 333]), (0x99, '™', [1000, 1000]), (0x9A, 'š', [500, 556]), (0x9B, '›', [333, 333]),
    (0x9C, 'œ', [944, 944]), (0x9E, 'ž', [500, 500]), (0x9F, 'Ÿ', [667, 667]),
];

/// The code of the first of [`CENTRAL`].
pub const FIRST_CENTRAL: u8 = 0x80;

/// What Helvetica has besides: the glyph's name, the character, its widths. Coded in this order.
#[rustfmt::skip]
pub const CENTRAL: [(&str, char, [u16; 2]); 79] = [
    ("Amacron", 'Ā', [667, 722]), ("amacron", 'ā', [556, 556]), ("Abreve", 'Ă', [667, 722]), ("abreve", 'ă', [556, 556]), ("Aogonek", 'Ą', [667, 722]),
    ("aogonek", 'ą', [556, 556]), ("Cacute", 'Ć', [722, 722]), ("cacute", 'ć', [500, 556]), ("Ccaron", 'Č', [722, 722]), ("ccaron", 'č', [500, 556]),
    ("Dcaron", 'Ď', [722, 722]), ("dcaron", 'ď', [643, 743]), ("Dcroat", 'Đ', [722, 722]), ("dcroat", 'đ', [556, 611]), ("Emacron", 'Ē', [667, 667]),
    ("emacron", 'ē', [556, 556]), ("Edotaccent", 'Ė', [667, 667]), ("edotaccent", 'ė', [556, 556]), ("Eogonek", 'Ę', [667, 667]), ("eogonek", 'ę', [556, 556]),
    ("Ecaron", 'Ě', [667, 667]), ("ecaron", 'ě', [556, 556]), ("Gbreve", 'Ğ', [778, 778]), ("gbreve", 'ğ', [556, 611]), ("Gcommaaccent", 'Ģ', [778, 778]),
    ("gcommaaccent", 'ģ', [556, 611]), ("Imacron", 'Ī', [278, 278]), ("imacron", 'ī', [278, 278]), ("Iogonek", 'Į', [278, 278]), ("iogonek", 'į', [222, 278]),
    ("Idotaccent", 'İ', [278, 278]), ("dotlessi", 'ı', [278, 278]), ("Kcommaaccent", 'Ķ', [667, 722]), ("kcommaaccent", 'ķ', [500, 556]), ("Lacute", 'Ĺ', [556, 611]),
    ("lacute", 'ĺ', [222, 278]), ("Lcommaaccent", 'Ļ', [556, 611]), ("lcommaaccent", 'ļ', [222, 278]), ("Lcaron", 'Ľ', [556, 611]), ("lcaron", 'ľ', [299, 400]),
    ("Lslash", 'Ł', [556, 611]), ("lslash", 'ł', [222, 278]), ("Nacute", 'Ń', [722, 722]), ("nacute", 'ń', [556, 611]), ("Ncommaaccent", 'Ņ', [722, 722]),
    ("ncommaaccent", 'ņ', [556, 611]), ("Ncaron", 'Ň', [722, 722]), ("ncaron", 'ň', [556, 611]), ("Omacron", 'Ō', [778, 778]), ("omacron", 'ō', [556, 611]),
    ("Ohungarumlaut", 'Ő', [778, 778]), ("ohungarumlaut", 'ő', [556, 611]), ("Racute", 'Ŕ', [722, 722]), ("racute", 'ŕ', [333, 389]), ("Rcommaaccent", 'Ŗ', [722, 722]),
    ("rcommaaccent", 'ŗ', [333, 389]), ("Rcaron", 'Ř', [722, 722]), ("rcaron", 'ř', [333, 389]), ("Sacute", 'Ś', [667, 667]), ("sacute", 'ś', [500, 556]),
    ("Scedilla", 'Ş', [667, 667]), ("scedilla", 'ş', [500, 556]), ("Tcommaaccent", 'Ţ', [611, 611]), ("tcommaaccent", 'ţ', [278, 333]), ("Tcaron", 'Ť', [611, 611]),
    ("tcaron", 'ť', [317, 389]), ("Umacron", 'Ū', [722, 722]), ("umacron", 'ū', [556, 611]), ("Uring", 'Ů', [722, 722]), ("uring", 'ů', [556, 611]),
    ("Uhungarumlaut", 'Ű', [722, 722]), ("uhungarumlaut", 'ű', [556, 611]), ("Uogonek", 'Ų', [722, 722]), ("uogonek", 'ų', [556, 611]), ("Zacute", 'Ź', [611, 611]),
    ("zacute", 'ź', [500, 500]), ("Zdotaccent", 'Ż', [611, 611]), ("zdotaccent", 'ż', [500, 500]), ("Scommaaccent", 'Ș', [667, 667]),
];

/// The glyph of a character: in the first font that has it, else that of its letter without the mark, else a question mark.
pub fn glyph(c: char, weight: Weight) -> Glyph {
    exactly(c, weight)
        .or_else(|| bare(c).and_then(|letter| exactly(letter, weight)))
        .unwrap_or_else(|| simple(Font::Western, weight, b'?', ASCII[weight as usize][31]))
}

fn exactly(c: char, weight: Weight) -> Option<Glyph> {
    let at = weight as usize;
    let c = match c {
        '\u{2010}' | '\u{2011}' | '\u{2212}' => '-',
        'ș' => 'ş',
        other => other,
    };
    if let Some(width) = (c as usize).checked_sub(0x20).and_then(|index| ASCII[at].get(index)) {
        return Some(simple(Font::Western, weight, c as u8, *width));
    }
    if let (Some(width), true) = ((c as usize).checked_sub(0xA0).and_then(|index| LATIN_1[at].get(index)), c != '\u{AD}') {
        return Some(simple(Font::Western, weight, c as u8, *width));
    }
    if let Some((code, _, width)) = WINDOWS.iter().find(|(_, known, _)| *known == c) {
        return Some(simple(Font::Western, weight, *code, width[at]));
    }
    if let Some(index) = CENTRAL.iter().position(|(_, known, _)| *known == c) {
        return Some(simple(Font::Central, weight, FIRST_CENTRAL + index as u8, CENTRAL[index].2[at]));
    }
    wide_font(c).map(|font| {
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units);
        let mut code = [0; 4];
        for (place, unit) in code.chunks_exact_mut(2).zip(units.iter()) {
            place.copy_from_slice(&unit.to_be_bytes());
        }
        Glyph { font, code, length: 2 * units.len(), width: 1000 }
    })
}

fn simple(font: Font, weight: Weight, code: u8, width: u16) -> Glyph {
    let font = match (font, weight) {
        (Font::Western, Weight::Bold) => Font::WesternBold,
        (Font::Central, Weight::Bold) => Font::CentralBold,
        (font, _) => font,
    };
    Glyph { font, code: [code, 0, 0, 0], length: 1, width }
}

/// The collection that has a character of full width.
fn wide_font(c: char) -> Option<Font> {
    match c {
        '\u{1100}'..='\u{11FF}' | '\u{3130}'..='\u{318F}' | '\u{AC00}'..='\u{D7A3}' => Some(Font::Korean),
        '\u{0391}'..='\u{03C9}' | '\u{0401}' | '\u{0410}'..='\u{044F}' | '\u{0451}' => Some(Font::Chinese),
        '\u{2015}'..='\u{2027}'
        | '\u{2030}'..='\u{205E}'
        | '\u{2070}'..='\u{2642}'
        | '\u{3000}'..='\u{303E}'
        | '\u{3041}'..='\u{3093}'
        | '\u{309B}'..='\u{30FE}'
        | '\u{3105}'..='\u{3129}' => Some(Font::Chinese),
        '\u{3220}'..='\u{33D5}' | '\u{3400}'..='\u{4DB5}' | '\u{4E00}'..='\u{9FA5}' | '\u{F900}'..='\u{FA29}' | '\u{FE30}'..='\u{FE6B}' => Some(Font::Chinese),
        '\u{FF01}'..='\u{FF5E}' | '\u{FFE0}'..='\u{FFE5}' => Some(Font::Chinese),
        _ => None,
    }
}

/// A letter without its marks: Vietnamese has more of them than Helvetica.
fn bare(c: char) -> Option<char> {
    let mut letter = None;
    decompose_canonical(c, |part| {
        if !is_combining_mark(part) {
            letter.get_or_insert(part);
        }
    });
    letter.filter(|letter| *letter != c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_character_has_the_font_that_shows_it() {
        for (c, font, code) in [
            ('A', Font::Western, 0x41),
            ('é', Font::Western, 0xE9),
            ('€', Font::Western, 0x80),
            ('\u{A0}', Font::Western, 0xA0),
            ('Ā', Font::Central, 0x80),
            ('ł', Font::Central, 0x80 + 41),
            ('Ș', Font::Central, 0x80 + 78),
            ('ế', Font::Western, 0x65),
            ('\u{2011}', Font::Western, 0x2D),
            ('ا', Font::Western, 0x3F),
            ('\u{7}', Font::Western, 0x3F),
            ('\u{202E}', Font::Western, 0x3F),
            ('\u{2066}', Font::Western, 0x3F),
            ('😀', Font::Western, 0x3F),
        ] {
            let found = glyph(c, Weight::Plain);
            assert_eq!((found.font, found.length, found.code[0]), (font, 1, code), "{c:?}");
        }
        for (c, font, code) in
            [('中', Font::Chinese, [0x4E, 0x2D]), ('，', Font::Chinese, [0xFF, 0x0C]), ('Ж', Font::Chinese, [4, 0x16]), ('한', Font::Korean, [0xD5, 0x5C])]
        {
            let found = glyph(c, Weight::Bold);
            assert_eq!((found.font, found.length, &found.code[..2], found.width), (font, 2, &code[..], 1000), "{c:?}");
        }
        assert_eq!((glyph('W', Weight::Plain).width, glyph('i', Weight::Bold).width, glyph('ì', Weight::Plain).width), (944, 278, 278));
        assert_eq!(glyph('A', Weight::Bold).font, Font::WesternBold);
    }

    #[test]
    fn the_tables_are_in_step() {
        let mut known: Vec<char> = CENTRAL.iter().map(|(_, c, _)| *c).chain(WINDOWS.iter().map(|(_, c, _)| *c)).collect();
        let all = known.len();
        known.sort_unstable();
        known.dedup();
        assert_eq!(known.len(), all, "no character stands there twice");
        assert!(usize::from(FIRST_CENTRAL) + CENTRAL.len() <= 256);
    }
}
