//! What a picture counts, by its dimensions. Sources: <https://platform.openai.com/docs/guides/images-vision>,
//! <https://docs.anthropic.com/en/docs/build-with-claude/vision>, <https://ai.google.dev/gemini-api/docs/tokens>.

use super::Family;

/// How closely OpenAI's models are asked to look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// A glance.
    Low,
    /// All of it, which is also what "auto" may come to.
    #[default]
    High,
}

/// How an OpenAI model counts a picture.
enum Rule {
    /// So much for it, and so much for each square of 512 pixels once it is shrunk to 2,048 and its shorter side to 768.
    Tiles { base: u64, tile: u64 },
    /// Squares of 32 pixels, at most so many, each so many hundredths of a token.
    Patches { most: u64, hundredths: u64 },
}

/// The newest models take a picture as it is; more than this many squares are not sent.
const UNBOUNDED: u64 = 16_384;

/// The rules by the beginning of the model's name, the longest first where two fit.
const RULES: &[(&str, Rule)] = &[
    ("gpt-4o-mini", Rule::Tiles { base: 2_833, tile: 5_667 }),
    ("gpt-4.1-mini", Rule::Patches { most: 1_536, hundredths: 162 }),
    ("gpt-4.1-nano", Rule::Patches { most: 1_536, hundredths: 246 }),
    ("gpt-5-mini", Rule::Patches { most: 1_536, hundredths: 162 }),
    ("gpt-5-nano", Rule::Patches { most: 1_536, hundredths: 246 }),
    ("o4-mini", Rule::Patches { most: 1_536, hundredths: 172 }),
    ("gpt-4o", Rule::Tiles { base: 85, tile: 170 }),
    ("gpt-4.1", Rule::Tiles { base: 85, tile: 170 }),
    ("gpt-4.5", Rule::Tiles { base: 85, tile: 170 }),
    ("gpt-4-turbo", Rule::Tiles { base: 85, tile: 170 }),
    ("o1", Rule::Tiles { base: 75, tile: 150 }),
    ("o3", Rule::Tiles { base: 75, tile: 150 }),
];
/// Of any other model of OpenAI's.
const NEWEST: Rule = Rule::Patches { most: UNBOUNDED, hundredths: 120 };

/// The most that a picture counts for Claude, at the highest resolution of any.
const MOST_CLAUDE: u64 = 4_784;
/// A tile of Gemini's, and a small picture.
const GEMINI_TILE: u64 = 258;
/// A picture in Gemini 3 and later, at any size, unless even more is asked for.
const GEMINI_3: u64 = 1_120;
/// The most that a picture counts for models of other families: Qwen's limit.
const MOST_OTHER: u64 = 16_384;

/// The tokens of a picture for a model. Where rules differ within a family, the dearer one.
pub fn image(model: &str, width: u32, height: u32, detail: Detail) -> u64 {
    let (width, height) = (u64::from(width.max(1)), u64::from(height.max(1)));
    match Family::of(model) {
        Family::OpenAi => openai(rule(model), width, height, detail),
        // Squares of 28 pixels; the published area by 750 is a little more for large pictures and less for small ones.
        Family::Claude => squares(width, height, 28).max((width * height).div_ceil(750)).min(MOST_CLAUDE),
        Family::Gemini => gemini(model, width, height),
        _ => squares(width, height, 28).saturating_add(2).max((width * height).div_ceil(750)).min(MOST_OTHER),
    }
}

/// The most that a picture of unknown size can count for a model.
pub fn largest_image(model: &str) -> u64 {
    match Family::of(model) {
        Family::OpenAi => openai(rule(model), 2_048, 2_048, Detail::High).max(openai(rule(model), 768, 2_048, Detail::High)),
        _ => image(model, 1 << 14, 1 << 14, Detail::High),
    }
}

fn rule(model: &str) -> &'static Rule {
    let name = model.rsplit('/').next().unwrap_or(model);
    RULES.iter().find(|(start, _)| name.starts_with(start)).map_or(&NEWEST, |(_, rule)| rule)
}

fn openai(rule: &Rule, width: u64, height: u64, detail: Detail) -> u64 {
    match *rule {
        Rule::Tiles { base, .. } if detail == Detail::Low => base,
        Rule::Tiles { base, tile } => {
            let (width, height) = within(width, height, 2_048);
            let (width, height) = shorter_side(width, height, 768);
            base + tile * squares(width, height, 512)
        }
        Rule::Patches { most, hundredths } => (squares(width, height, 32).min(most) * hundredths).div_ceil(100),
    }
}

fn squares(width: u64, height: u64, side: u64) -> u64 {
    width.div_ceil(side).saturating_mul(height.div_ceil(side))
}

/// Shrunk, if need be, until the longer side fits. Sides round up, so that no square is missed.
fn within(width: u64, height: u64, longest: u64) -> (u64, u64) {
    let side = width.max(height);
    if side <= longest { (width, height) } else { ((width * longest).div_ceil(side), (height * longest).div_ceil(side)) }
}

fn shorter_side(width: u64, height: u64, longest: u64) -> (u64, u64) {
    let side = width.min(height);
    if side <= longest { (width, height) } else { ((width * longest).div_ceil(side), (height * longest).div_ceil(side)) }
}

fn gemini(model: &str, width: u64, height: u64) -> u64 {
    let name = model.rsplit('/').next().unwrap_or(model);
    let is_older = ["gemini-1", "gemini-2", "gemma"].iter().any(|start| name.starts_with(start));
    let (width, height) = within(width, height, 3_072);
    let tiles = if width <= 384 && height <= 384 {
        1
    } else {
        let unit = (width.min(height) * 2 / 3).clamp(256, 768);
        squares(width, height, unit)
    };
    if is_older { tiles * GEMINI_TILE } else { GEMINI_3.max(tiles * GEMINI_TILE).min(2 * GEMINI_3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_examples_come_out() {
        for (model, width, height, detail, tokens) in [
            ("gpt-4o", 1024, 1024, Detail::High, 765),
            ("gpt-4o", 2048, 4096, Detail::High, 1105),
            ("gpt-4o", 4096, 8192, Detail::Low, 85),
            ("openai/gpt-4o-mini", 512, 512, Detail::High, 8_500),
            ("gpt-5-mini", 1024, 1024, Detail::High, 1_659),
            ("gpt-5.5", 1024, 1024, Detail::High, 1_229),
            ("gpt-6", 4032, 3024, Detail::High, 14_364),
            ("gemini-2.5-flash", 384, 384, Detail::High, 258),
            ("gemini-2.5-flash", 960, 540, Detail::High, 6 * 258),
        ] {
            assert_eq!(image(model, width, height, detail), tokens, "{model} {width}x{height}");
        }
    }

    #[test]
    fn never_less_than_what_was_measured() {
        // As reported for one picture, without the text around it.
        for (model, width, height, measured) in [
            ("claude-opus-5-5", 256, 256, 100),
            ("claude-opus-5-5", 512, 512, 361),
            ("claude-opus-5-5", 1024, 1024, 1_369),
            ("claude-opus-5-5", 1920, 1080, 2_691),
            ("claude-opus-5-5", 4032, 3024, 3_928),
            ("claude-haiku-4-5", 4032, 3024, 1_596),
            ("gemini-3-pro", 256, 256, 1_090),
            ("gemini-3-pro", 1920, 1080, 1_101),
            ("gpt-5.5", 3840, 2160, 9_792),
            ("gpt-5.5", 4032, 3024, 11_868),
        ] {
            assert!(image(model, width, height, Detail::High) >= measured, "{model} {width}x{height}");
        }
    }

    #[test]
    fn no_picture_counts_more_than_the_largest_of_unknown_size() {
        for model in ["gpt-4o", "gpt-4o-mini", "gpt-5-nano", "claude-opus-4-6", "gemini-2.5-pro", "gemini-3-pro", "qwen-vl-max", "house-blend"] {
            for (width, height) in [(1, 1), (1, 60_000), (768, 2_048), (2_048, 768), (3_000, 4_000), (10_000, 10_000), (u32::MAX, u32::MAX)] {
                assert!(image(model, width, height, Detail::High) <= largest_image(model), "{model} {width}x{height}");
            }
        }
    }
}
