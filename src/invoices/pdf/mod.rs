//! A sheet as a PDF of A4 pages. The same sheet makes the same bytes.

mod flow;
mod fonts;

use super::sheet::Sheet;
use flow::{Cell, MARGIN, PAGE, Placed, Row, Style, paginate, width, wrap};
use fonts::{CENTRAL, FIRST_CENTRAL, Font, Weight, glyph};
use pdf_writer::types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap};
use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, Str, TextStr};
use std::collections::{BTreeMap, BTreeSet};

const HEADING: Style = Style { size: 20.0, weight: Weight::Bold, gray: 0.0 };
const TEXT: Style = Style { size: 9.5, weight: Weight::Plain, gray: 0.0 };
const STRONG: Style = Style { weight: Weight::Bold, ..TEXT };
const QUIET: Style = Style { gray: 0.4, ..TEXT };
const TOTAL: Style = Style { size: 12.0, weight: Weight::Bold, gray: 0.0 };
const SMALL: Style = Style { size: 8.0, weight: Weight::Plain, gray: 0.4 };
const LINE: f32 = 13.5;
const GAP: f32 = 16.0;
/// Between two columns.
const GUTTER: f32 = 24.0;
/// How wide the column of the amounts is.
const AMOUNT: f32 = 130.0;
/// How many lines of the seller's end stand at the foot of each page; more of them stand at the end of the last one.
const FOOT_LINES: usize = 3;

/// Everything that the fonts of one document need.
type Used = BTreeMap<Font, BTreeSet<char>>;

/// Makes the PDF.
pub fn render(sheet: &Sheet) -> Vec<u8> {
    let inner = PAGE.0 - 2.0 * MARGIN;
    let foot = wrap(&sheet.footer, SMALL, inner);
    let is_long = foot.len() > FOOT_LINES;
    let mut rows = rows(sheet);
    if is_long {
        rows.push(space(GAP));
        rows.extend(foot.iter().map(|line| row(vec![cell(MARGIN, line, SMALL)])));
    }
    let pages = paginate(rows);
    let count = pages.len();
    let mut used = Used::new();
    let contents: Vec<Vec<u8>> = pages
        .iter()
        .enumerate()
        .map(|(at, placed)| {
            let mut page = Writer { content: Content::new(), used: &mut used };
            placed.iter().for_each(|row| page.row(row));
            if !is_long {
                page.foot(&foot);
            }
            page.number(&sheet.page_of, at + 1, count);
            page.content.finish().into_vec()
        })
        .collect();
    assemble(sheet, &contents, &used)
}

fn cell(x: f32, text: &str, style: Style) -> Cell {
    Cell { x, right: false, text: text.to_owned(), style }
}

fn right(text: &str, style: Style) -> Cell {
    Cell { x: PAGE.0 - MARGIN, right: true, text: text.to_owned(), style }
}

fn row(cells: Vec<Cell>) -> Row {
    let tallest = cells.iter().map(|cell| cell.style.size * LINE / TEXT.size).fold(0.0, f32::max);
    Row { height: tallest.max(LINE), cells, rule: false }
}

fn space(height: f32) -> Row {
    Row { height, ..Row::default() }
}

fn ruled(row: Row) -> Row {
    Row { rule: true, height: row.height + 4.0, ..row }
}

fn rows(sheet: &Sheet) -> Vec<Row> {
    let inner = PAGE.0 - 2.0 * MARGIN;
    let half = (inner - GUTTER) / 2.0;
    let mut rows: Vec<Row> = wrap(&sheet.heading, HEADING, inner).iter().map(|line| row(vec![cell(MARGIN, line, HEADING)])).collect();
    rows.push(space(6.0));
    for (label, value) in &sheet.facts {
        let label_width = inner / 4.0;
        rows.extend(beside((MARGIN, &wrap(label, QUIET, label_width - 8.0), QUIET), (MARGIN + label_width, &wrap(value, TEXT, inner - label_width), TEXT)));
    }
    rows.push(space(GAP));
    let labels = [&sheet.seller_label, &sheet.buyer_label].map(std::slice::from_ref);
    rows.extend(beside((MARGIN, labels[0], QUIET), (MARGIN + half + GUTTER, labels[1], QUIET)));
    rows.extend(parties(sheet, half));
    rows.push(space(GAP));
    rows.push(row(vec![cell(MARGIN, &sheet.columns.0, QUIET), right(&sheet.columns.1, QUIET)]));
    rows.extend(amounts(&sheet.lines, TEXT));
    rows.extend(amounts(&sheet.parts, QUIET));
    rows.extend(amounts(std::slice::from_ref(&sheet.total), TOTAL));
    if !sheet.notes.is_empty() {
        rows.push(space(GAP));
    }
    for note in &sheet.notes {
        rows.extend(wrap(note, TEXT, inner).iter().map(|line| row(vec![cell(MARGIN, line, TEXT)])));
    }
    rows
}

/// Two columns of lines, side by side.
fn beside(left: (f32, &[String], Style), right: (f32, &[String], Style)) -> Vec<Row> {
    let column = |(x, lines, style): (f32, &[String], Style), at: usize| lines.get(at).map(|line| cell(x, line, style));
    let count = left.1.len().max(right.1.len());
    (0..count).map(|at| row(column(left, at).into_iter().chain(column(right, at)).collect())).collect()
}

/// Seller and buyer, each with its first line in bold.
fn parties(sheet: &Sheet, half: f32) -> Vec<Row> {
    let lines = |party: &[String]| -> Vec<(String, Style)> {
        let styled = party.iter().enumerate().map(|(at, text)| (text, if at == 0 { STRONG } else { TEXT }));
        styled.flat_map(|(text, style)| wrap(text, style, half).into_iter().map(move |line| (line, style))).collect()
    };
    let (seller, buyer) = (lines(&sheet.seller), lines(&sheet.buyer));
    let at = |party: &[(String, Style)], n: usize, x| party.get(n).map(|(text, style)| cell(x, text, *style));
    let count = seller.len().max(buyer.len());
    (0..count).map(|n| row(at(&seller, n, MARGIN).into_iter().chain(at(&buyer, n, MARGIN + half + GUTTER)).collect())).collect()
}

/// Texts with an amount at the right, a rule over each.
fn amounts(lines: &[(String, String)], style: Style) -> Vec<Row> {
    let mut rows = Vec::new();
    for (text, amount) in lines {
        let texts = wrap(text, style, PAGE.0 - 2.0 * MARGIN - AMOUNT - GUTTER);
        let sums = wrap(amount, style, AMOUNT);
        for at in 0..texts.len().max(sums.len()) {
            let cells = texts.get(at).map(|text| cell(MARGIN, text, style)).into_iter().chain(sums.get(at).map(|sum| right(sum, style)));
            let one = row(cells.collect());
            rows.push(if at == 0 { ruled(one) } else { one });
        }
    }
    rows
}

/// What is written on one page.
struct Writer<'a> {
    content: Content,
    used: &'a mut Used,
}

impl Writer<'_> {
    fn row(&mut self, (y, row): &Placed) {
        if row.rule {
            let top = y + row.height - 3.0;
            self.content.set_line_width(0.5).set_stroke_gray(0.75).move_to(MARGIN, top).line_to(PAGE.0 - MARGIN, top).stroke();
        }
        for cell in &row.cells {
            let x = if cell.right { cell.x - width(&cell.text, cell.style) } else { cell.x };
            self.text(x, *y, &cell.text, cell.style);
        }
    }

    /// A line of text, in one font after the other.
    fn text(&mut self, x: f32, y: f32, text: &str, style: Style) {
        self.content.begin_text().set_fill_gray(style.gray).next_line(x, y);
        let glyphs: Vec<_> = text.chars().map(|c| (c, glyph(c, style.weight))).collect();
        for run in glyphs.chunk_by(|a, b| a.1.font == b.1.font) {
            let font = run[0].1.font;
            self.used.entry(font).or_default().extend(run.iter().map(|(c, _)| *c));
            let codes: Vec<u8> = run.iter().flat_map(|(_, glyph)| glyph.code[..glyph.length].to_vec()).collect();
            self.content.set_font(name(font), style.size).show(Str(&codes));
        }
        self.content.end_text();
    }

    fn foot(&mut self, lines: &[String]) {
        for (at, line) in lines.iter().enumerate() {
            self.text(MARGIN, MARGIN + 11.0 * (lines.len() - at) as f32, line, SMALL);
        }
    }

    fn number(&mut self, pattern: &str, page: usize, pages: usize) {
        let text = pattern.replace("%{page}", &page.to_string()).replace("%{pages}", &pages.to_string());
        self.text(PAGE.0 - MARGIN - width(&text, SMALL), MARGIN - 6.0, &text, SMALL);
    }
}

fn name(font: Font) -> Name<'static> {
    match font {
        Font::Western => Name(b"F1"),
        Font::WesternBold => Name(b"F2"),
        Font::Central => Name(b"F3"),
        Font::CentralBold => Name(b"F4"),
        Font::Chinese => Name(b"F5"),
        Font::Korean => Name(b"F6"),
    }
}

fn assemble(sheet: &Sheet, contents: &[Vec<u8>], used: &Used) -> Vec<u8> {
    let mut pdf = Pdf::new();
    let mut next = Ref::new(1);
    let (catalog, tree, info) = (next.bump(), next.bump(), next.bump());
    let fonts: Vec<(Font, Ref)> = used.keys().map(|font| (*font, next.bump())).collect();
    let pages: Vec<(Ref, Ref)> = contents.iter().map(|_| (next.bump(), next.bump())).collect();
    pdf.catalog(catalog).pages(tree).lang(TextStr(sheet.lang));
    let title = format!("{} {}", sheet.heading, sheet.number);
    pdf.document_info(info).title(TextStr(&title)).author(TextStr(sheet.seller.first().map_or("", String::as_str)));
    pdf.pages(tree).kids(pages.iter().map(|(page, _)| *page)).count(i32::try_from(pages.len()).unwrap_or(i32::MAX));
    for ((id, stream), content) in pages.iter().zip(contents) {
        let mut page = pdf.page(*id);
        page.media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1)).parent(tree).contents(*stream);
        let mut resources = page.resources();
        let mut dictionary = resources.fonts();
        for (font, id) in &fonts {
            dictionary.pair(name(*font), *id);
        }
        dictionary.finish();
        resources.finish();
        page.finish();
        pdf.stream(*stream, content);
    }
    for (font, id) in fonts {
        match font {
            Font::Western | Font::WesternBold | Font::Central | Font::CentralBold => write_simple(&mut pdf, id, font),
            Font::Chinese => write_wide(&mut pdf, &mut next, id, &CHINESE, &used[&font]),
            Font::Korean => write_wide(&mut pdf, &mut next, id, &KOREAN, &used[&font]),
        }
    }
    pdf.finish()
}

fn write_simple(pdf: &mut Pdf, id: Ref, font: Font) {
    let base = if matches!(font, Font::WesternBold | Font::CentralBold) { Name(b"Helvetica-Bold") } else { Name(b"Helvetica") };
    let mut dictionary = pdf.type1_font(id);
    dictionary.base_font(base);
    if matches!(font, Font::Western | Font::WesternBold) {
        dictionary.encoding_predefined(Name(b"WinAnsiEncoding"));
    } else {
        let mut encoding = dictionary.encoding_custom();
        encoding.base_encoding(Name(b"WinAnsiEncoding"));
        encoding.differences().consecutive(FIRST_CENTRAL, CENTRAL.iter().map(|(glyph, ..)| Name(glyph.as_bytes())));
    }
}

/// A font of one of Adobe's collections, which the viewer has or replaces by its own (ISO 32000, "Predefined CMaps").
struct Collection {
    base: &'static [u8],
    ordering: &'static [u8],
    supplement: i32,
    cmap: &'static [u8],
    bbox: [f32; 4],
    ascent: f32,
    descent: f32,
}

const CHINESE: Collection = Collection {
    base: b"STSong-Light",
    ordering: b"GB1",
    supplement: 4,
    cmap: b"UniGB-UTF16-H",
    bbox: [-25.0, -254.0, 1000.0, 880.0],
    ascent: 752.0,
    descent: -271.0,
};

const KOREAN: Collection = Collection {
    base: b"HYSMyeongJo-Medium",
    ordering: b"Korea1",
    supplement: 1,
    cmap: b"UniKS-UTF16-H",
    bbox: [-0.0, -148.0, 1001.0, 880.0],
    ascent: 752.0,
    descent: -271.0,
};

fn write_wide(pdf: &mut Pdf, next: &mut Ref, id: Ref, font: &Collection, used: &BTreeSet<char>) {
    let (cid, descriptor, to_unicode) = (next.bump(), next.bump(), next.bump());
    let full: Vec<u8> = [font.base, b"-", font.cmap].concat();
    pdf.type0_font(id).base_font(Name(&full)).encoding_predefined(Name(font.cmap)).descendant_font(cid).to_unicode(to_unicode);
    let info = |ordering| SystemInfo { registry: Str(b"Adobe"), ordering: Str(ordering), supplement: font.supplement };
    let mut dictionary = pdf.cid_font(cid);
    dictionary.subtype(CidFontType::Type0).base_font(Name(font.base)).system_info(info(font.ordering)).font_descriptor(descriptor).default_width(1000.0);
    dictionary.finish();
    let [left, bottom, far, top] = font.bbox;
    pdf.font_descriptor(descriptor)
        .name(Name(font.base))
        .flags(FontFlags::SYMBOLIC | FontFlags::SERIF)
        .bbox(Rect::new(left, bottom, far, top))
        .italic_angle(0.0)
        .ascent(font.ascent)
        .descent(font.descent)
        .cap_height(737.0)
        .stem_v(58.0);
    // The codes are UTF-16 already; said once more for programs that search and copy.
    let mut map = UnicodeCmap::<u16>::new(Name(b"Farebox-UTF16"), SystemInfo { registry: Str(b"Farebox"), ordering: Str(b"UTF16"), supplement: 0 });
    for c in used.iter().filter(|c| u32::from(**c) <= 0xFFFF) {
        map.pair(u32::from(*c) as u16, *c);
    }
    pdf.cmap(to_unicode, &map.finish());
}

#[cfg(test)]
mod tests;
