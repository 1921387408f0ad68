//! How much a request may cost before it has run, and what a short balance makes of it. Pure.

use super::count::{self, Media};
use super::envelope::{Envelope, Wanted};
use super::operation::Operation;
use crate::kernel::pricing::Answer;
use crate::kernel::{Prices, Usage, Usd};

/// What an answer may have when neither the caller nor the model sets a limit.
pub(super) const DEFAULT_OUTPUT: u64 = 32_768;
/// More output than any model gives.
const MOST_OUTPUT: u64 = 262_144;
/// Fewer output tokens than this are not worth asking an upstream for.
const FLOOR: u64 = 16;
/// The most tokens that a picture takes to make, previews on the way included.
const IMAGE_OUTPUT: u64 = 7_000;
/// The most tokens of sound for a character: a slow speaker.
const SPEECH_OUTPUT: u64 = 8;
/// A second of sound never has fewer bytes: a telephone's quality.
const BYTES_PER_SECOND: u64 = 1_000;
/// The most words that are spoken in a second, in tokens.
const HEARD_PER_SECOND: u64 = 10;
/// What a transcription may have beside the words that were spoken.
const HEARD_BESIDE: u64 = 512;

/// What a tool of the provider's usually brings at most with each use, in tokens: the pages of a search, a document.
const FETCHED: u64 = 10_000;

/// What is known of a request before it runs.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Bytes of what the model reads: a token never has less than one.
    pub bytes: usize,
    /// The most tokens that its pictures, sounds and files can have, and what tools of the provider's bring.
    pub media_tokens: u64,
    /// Those of them that are of sounds.
    pub sound_tokens: u64,
    /// Those of them that are of pictures.
    pub picture_tokens: u64,
    /// The answer may be spoken.
    pub spoken: bool,
    /// It is an answer of a model, which may be one that paints.
    pub is_answer: bool,
    /// There are pictures in it, or files, or something to look up that may be either.
    pub pictures: bool,
    /// The upstream will read what is not in the request.
    pub unseen: bool,
    /// The caller's cap for each choice.
    pub output_cap: Option<u64>,
    /// The model's own limit.
    pub model_cap: Option<u64>,
    /// How many choices.
    pub choices: u64,
    /// How many searches it may set off.
    pub searches: u64,
    /// It asks for an hour in the upstream's cache.
    pub hour: bool,
    /// What it asks for beside tokens of text.
    pub wanted: Wanted,
}

impl Size {
    /// Of a request with this body, for a model with this limit.
    pub fn of(envelope: &Envelope, body: &[u8], model_cap: Option<u64>) -> Self {
        let (bytes, media) = match envelope.form() {
            Some(form) => (body.len().saturating_sub(form.file_bytes()), Vec::new()),
            None => {
                let bound = count::input_bound(body);
                (bound.text_bytes, bound.media)
            }
        };
        let of_form = envelope.pictures.saturating_mul(count::largest_image(&envelope.model));
        let sum = |first: u64, of: fn(&Media) -> bool| {
            media.iter().filter(|media| of(media)).fold(first, |sum, media| sum.saturating_add(media.most(&envelope.model)))
        };
        Self {
            // What is read again with each document has to be paid for each time.
            bytes: bytes.saturating_add(envelope.again_bytes()),
            media_tokens: sum(of_form.saturating_add(envelope.fetches.saturating_mul(FETCHED)), |_| true),
            sound_tokens: sum(0, |media| matches!(media, Media::Sound { .. })),
            picture_tokens: sum(of_form, |media| matches!(media, Media::Image { .. })),
            spoken: envelope.spoken,
            is_answer: matches!(envelope.operation, Operation::Generate(_)),
            pictures: envelope.pictures > 0 || media.iter().any(|media| !matches!(media, Media::Sound { .. })),
            unseen: envelope.fetches > 0 || media.contains(&Media::Remote),
            output_cap: envelope.output_cap,
            model_cap: model_cap.filter(|_| envelope.output_cap != Some(0)),
            choices: envelope.choices,
            searches: envelope.searches,
            hour: memchr::memmem::find(body, b"\"1h\"").is_some(),
            wanted: envelope.wanted,
        }
    }

    /// The output tokens that the caller asked for, of each choice.
    pub fn asked_output(&self) -> u64 {
        let asked = self.output_cap.unwrap_or(0);
        self.model_cap.map_or(asked, |limit| asked.min(limit))
    }

    /// The output tokens that each choice can have.
    fn cap(&self) -> u64 {
        match (self.output_cap, self.model_cap) {
            (Some(asked), Some(limit)) => asked.min(limit),
            (Some(cap), None) | (None, Some(cap)) => cap,
            (None, None) => DEFAULT_OUTPUT,
        }
    }

    /// The cap for each choice that has to be sent in the place of the caller's: the model's, where that is lower.
    pub fn lowered_cap(&self) -> Option<u64> {
        self.model_cap.filter(|limit| self.output_cap.is_some_and(|asked| asked > *limit))
    }

    /// The fewest output tokens for each choice that are worth a call.
    fn floor(&self) -> u64 {
        self.cap().min(FLOOR)
    }

    /// The output tokens that all choices together can have.
    pub fn output_cap(&self) -> u64 {
        self.output(self.cap())
    }

    /// The output tokens at which a stream is cut: where the upstream has lost its measure of the cap that it was sent, or, when the caller sent none,
    /// where the cost reaches what is held. What the model gives at most by itself is held for, and may come.
    pub fn output_limit(&self, prices: &Prices, held: Option<Usd>) -> u64 {
        if self.output_cap.is_some() {
            return self.output(self.cap()).saturating_add(self.heard());
        }
        let covered = held.and_then(|held| prices.affordable_output(held, &self.most(prices, count::estimate(self.bytes), 0)));
        covered.unwrap_or(u64::MAX).clamp(self.output(self.model_cap.unwrap_or(0).max(self.floor())), self.output(self.model_cap.unwrap_or(0).max(MOST_OUTPUT)))
    }

    fn output(&self, per_choice: u64) -> u64 {
        per_choice.saturating_mul(self.choices)
    }

    /// How long the sound is at most that comes as a file.
    fn audio_seconds(&self) -> u64 {
        self.wanted.audio_bytes / BYTES_PER_SECOND + u64::from(self.wanted.audio_bytes > 0)
    }

    /// The most tokens that are written down of it.
    fn heard(&self) -> u64 {
        match self.audio_seconds() {
            0 => 0,
            seconds => seconds.saturating_mul(HEARD_PER_SECOND).saturating_add(HEARD_BESIDE),
        }
    }

    /// The most that a request can use which is no conversation.
    pub fn most_of_pieces(&self, prices: &Prices) -> Usage {
        self.most(prices, self.bytes as u64, 0)
    }

    /// The most that is used when the text of the input has `input` tokens and the answer `output`: media beside it, each in its kind.
    fn most(&self, prices: &Prices, input: u64, output: u64) -> Usage {
        let input = input.saturating_add(self.media_tokens.saturating_sub(self.sound_tokens));
        let audio_seconds = self.audio_seconds();
        let (input, cache_write_1h, pictures) = if self.hour { (0, input, 0) } else { (input.saturating_sub(self.picture_tokens), 0, self.picture_tokens) };
        let output = output.saturating_add(self.heard());
        let (output, spoken, painted) = match prices.dearest_answer(self.is_answer && self.spoken, self.is_answer) {
            Answer::Text => (output, 0, 0),
            // At least one, to be named: what a balance affords is asked with none.
            Answer::Sound => (0, output.max(1), 0),
            Answer::Pictures => (0, 0, output.max(1)),
        };
        Usage {
            input,
            cache_write_1h,
            output,
            image_input: pictures,
            audio_input: self.sound_tokens.saturating_add(audio_seconds.saturating_mul(crate::kernel::pricing::TOKENS_PER_SECOND)),
            audio_ms: audio_seconds.saturating_mul(1_000),
            images: self.wanted.images,
            image_output: painted.saturating_add(self.wanted.images.saturating_mul(IMAGE_OUTPUT)),
            characters: self.wanted.characters,
            audio_output: spoken.saturating_add(self.wanted.characters.saturating_mul(SPEECH_OUTPUT)),
            searches: self.searches,
            ..Usage::default()
        }
    }

    /// The worst case, from the bytes alone: cheap to know, and more than the request can cost.
    pub fn worst_case(&self, prices: &Prices) -> Usd {
        prices.ceiling(&self.most(prices, self.bytes as u64, self.output_cap()))
    }

    /// Less than this on the balance, and there is no use in looking closer.
    pub fn least(&self, prices: &Prices) -> Usd {
        prices.cost(Usage { output: self.output(self.floor()), ..Usage::default() })
    }

    /// What recovery charges for the input when the node dies before any usage is known: an estimate from the bytes.
    pub fn input_estimate(&self, prices: &Prices) -> Usd {
        prices.cost(Usage { input: count::estimate(self.bytes), ..Usage::default() })
    }

    /// About how many tokens it will use, for limits on tokens.
    pub fn tokens_estimate(&self) -> u64 {
        count::estimate(self.bytes).saturating_add(self.output_cap.map_or(0, |cap| self.output(cap)).min(self.output_cap()))
    }

    /// Given `held` of the money and the counted `input` tokens of text: whether the request can go as it is, with less output, or
    /// not at all.
    pub fn fit(&self, prices: &Prices, held: Usd, input: u64) -> Fit {
        if prices.ceiling(&self.most(prices, input, self.output_cap())) <= held {
            return Fit::AsAsked;
        }
        let Some(affordable) = prices.affordable_output(held, &self.most(prices, input, 0)) else { return Fit::TooLittle };
        let each = affordable / self.choices.max(1);
        if self.cap() == 0 || each < self.floor() { Fit::TooLittle } else { Fit::Lowered(each.min(self.cap())) }
    }
}

/// What a short balance makes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// The balance covers it after all.
    AsAsked,
    /// It covers this many output tokens for each choice.
    Lowered(u64),
    /// It does not cover what is worth a call.
    TooLittle,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::{Price, PriceFactor, money};

    const PRICES: Prices = Prices {
        input: Price(1_000_000_000),
        output: Price(10_000_000_000),
        cached_input: Price(500_000_000),
        cache_write: Price(1_250_000_000),
        rare: None,
        factor: PriceFactor::ONE,
    };

    fn size() -> Size {
        Size {
            bytes: 1000,
            media_tokens: 0,
            sound_tokens: 0,
            picture_tokens: 0,
            spoken: false,
            is_answer: true,
            pictures: false,
            unseen: false,
            output_cap: Some(1000),
            model_cap: None,
            choices: 1,
            searches: 0,
            hour: false,
            wanted: Wanted::default(),
        }
    }

    #[test]
    fn the_worst_case_takes_the_dearest_input_and_every_choice() {
        // 1000 bytes at 1.25 $/M + 2 * 1000 tokens at 10 $/M
        assert_eq!(Size { choices: 2, ..size() }.worst_case(&PRICES), Usd(1_250_000 + 20_000_000));
        assert_eq!(Size { media_tokens: 50_000, ..size() }.worst_case(&PRICES), Usd(51_000 * 1250 + 10_000_000));
        assert_eq!(Size { output_cap: None, model_cap: Some(10), ..size() }.worst_case(&PRICES), Usd(1_250_000 + 100_000));
        assert_eq!(Size { output_cap: Some(u64::MAX), choices: 128, ..size() }.worst_case(&PRICES), Usd(i64::MAX));
    }

    #[test]
    fn a_short_balance_lowers_the_cap_to_exactly_what_it_covers() {
        let need = Usd(100 * 1250 + 10_000_000);
        assert_eq!(size().fit(&PRICES, need, 100), Fit::AsAsked);
        assert_eq!(size().fit(&PRICES, need - Usd(1), 100), Fit::Lowered(999));
        assert_eq!(size().fit(&PRICES, Usd(100 * 1250 + 16 * 10_000), 100), Fit::Lowered(16));
        assert_eq!(size().fit(&PRICES, Usd(100 * 1250 + 16 * 10_000 - 1), 100), Fit::TooLittle);
        assert_eq!(size().fit(&PRICES, Usd(1), 100), Fit::TooLittle);
        let short = Size { output_cap: Some(5), ..size() };
        assert_eq!(short.fit(&PRICES, Usd(100 * 1250 + 50_000), 100), Fit::AsAsked, "a caller who asks for less than the floor gets it");
        let free_output = Prices { output: Price(0), ..PRICES };
        assert_eq!(size().fit(&free_output, Usd(1), 100), Fit::TooLittle);
    }

    #[test]
    fn media_and_answers_are_held_for_in_their_own_kinds() {
        use crate::kernel::pricing::Rare;
        let rare = Rare { audio_input: Some(Price(40_000_000_000)), audio_output: Some(Price(80_000_000_000)), ..Rare::default() };
        let prices = PRICES.with(rare);
        let heard = Size { media_tokens: 100, sound_tokens: 100, ..size() };
        assert_eq!(heard.worst_case(&prices), Usd(1_250_000 + 100 * 40_000 + 10_000_000));
        let spoken = Size { spoken: true, ..size() };
        assert_eq!(spoken.worst_case(&prices), Usd(1_250_000 + 80_000_000));
        assert_eq!(spoken.fit(&prices, Usd(100 * 1250 + 50 * 80_000), 100), Fit::Lowered(50));
        assert_eq!(spoken.worst_case(&PRICES), size().worst_case(&PRICES), "a model without such a price");
        let painter = PRICES.with(Rare { image_input: Some(Price(2_000_000_000)), image_output: Some(Price(30_000_000_000)), ..Rare::default() });
        let seen = Size { media_tokens: 100, picture_tokens: 100, ..size() };
        assert_eq!(seen.worst_case(&painter), Usd(1_250_000 + 100 * 2_000 + 30_000_000));
    }

    #[test]
    fn what_is_written_down_of_a_sound_may_be_as_long_as_the_sound() {
        let sound = Size { output_cap: Some(0), wanted: Wanted { audio_bytes: 600_000, ..Wanted::default() }, ..size() };
        assert_eq!(sound.output_limit(&PRICES, None), 601 * HEARD_PER_SECOND + HEARD_BESIDE);
        assert_eq!(Size { output_cap: Some(0), ..size() }.output_limit(&PRICES, None), 0, "a picture has no words");
    }

    #[test]
    fn an_answer_without_a_limit_is_cut_where_the_hold_ends() {
        assert_eq!(Size { choices: 2, ..size() }.output_limit(&PRICES, None), 2000);
        let by_model = Size { output_cap: None, model_cap: Some(5_000), ..size() };
        assert!(by_model.output_limit(&PRICES, Some(by_model.worst_case(&PRICES))) >= 5_000, "a model may give all that it has");
        let both = |asked| Size { output_cap: Some(asked), model_cap: Some(500), ..size() };
        assert_eq!((both(800).lowered_cap(), both(800).output_limit(&PRICES, None), both(500).lowered_cap()), (Some(500), 500, None));
        let unlimited = Size { output_cap: None, ..size() };
        let held = unlimited.worst_case(&PRICES);
        let limit = unlimited.output_limit(&PRICES, Some(held));
        assert!(limit >= unlimited.output_cap());
        let cost = |output| money::cost(&[(count::estimate(unlimited.bytes), PRICES.dearest_input()), (output, PRICES.output)]);
        assert!(cost(limit) <= held && cost(limit + 1) > held);
    }

    #[test]
    fn what_was_lowered_never_costs_more_than_was_held() {
        for held in (200_000..12_000_000).step_by(37_711) {
            if let Fit::Lowered(cap) = size().fit(&PRICES, Usd(held), 100) {
                assert!(money::cost(&[(100, PRICES.dearest_input()), (cap, PRICES.output)]) <= Usd(held));
                assert!(money::cost(&[(100, PRICES.dearest_input()), (cap + 1, PRICES.output)]) > Usd(held));
            }
        }
    }
}
