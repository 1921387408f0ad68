//! The prices beyond the usual four, and the parts of a request that have them, in words: only those that are there.

use super::{Form, Page};
use crate::kernel::pricing::{Rare, Tier};
use crate::kernel::{Price, Prices};
use crate::usage::Parts;

/// A price in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceLine {
    /// What for.
    pub label: String,
    /// How much, with its unit.
    pub price: String,
}

impl Page {
    /// What a model costs beside its usual four prices.
    pub fn rarer_prices(&self, prices: &Prices) -> Vec<PriceLine> {
        prices.rare.as_deref().map_or_else(Vec::new, |rare| self.price_lines(rare))
    }

    fn price_lines(&self, rare: &Rare) -> Vec<PriceLine> {
        let tokens = [
            ("model.cache_write_1h", rare.cache_write_1h),
            ("model.audio_input", rare.audio_input),
            ("model.image_input", rare.image_input),
            ("model.reasoning", rare.reasoning),
            ("model.audio_output", rare.audio_output),
            ("model.image_output", rare.image_output),
        ];
        let others = [
            ("model.characters", rare.characters, "model.per_million_characters"),
            ("model.audio_minute", rare.audio_minute, "model.per_minute"),
            ("model.image", rare.image, "model.each"),
            ("model.request", rare.request, "model.each"),
            ("model.search", rare.search, "model.each"),
        ];
        let all = tokens.into_iter().map(|(label, price)| (label, price, "model.per_million")).chain(others);
        let line = |(label, price, unit): (&str, Option<Price>, &str)| {
            Some(PriceLine { label: self.t(label).into_owned(), price: format!("{} {}", price?.display(), self.t(unit)) })
        };
        all.filter_map(line).chain(rare.tiers.iter().map(|tier| self.tier_line(tier))).collect()
    }

    fn tier_line(&self, tier: &Tier) -> PriceLine {
        let parts = [
            ("model.input", Some(tier.input)),
            ("model.output", Some(tier.output)),
            ("model.cached_input", tier.cached_input),
            ("model.cache_write", tier.cache_write),
            ("model.cache_write_1h", tier.cache_write_1h),
        ];
        let part = |(label, price): (&str, Option<Price>)| Some(format!("{} {}", self.t(label), price?.display()));
        PriceLine {
            label: self.with("model.above", "n", self.count(&whole(tier.above))),
            price: parts.into_iter().filter_map(part).collect::<Vec<_>>().join(", "),
        }
    }

    /// What of a request had, or may have had, a price of its own.
    pub fn request_parts(&self, parts: &Parts) -> Vec<String> {
        let counts = [
            ("request.part_cache_write_1h", parts.cache_write_1h),
            ("request.part_audio_input", parts.audio_input),
            ("request.part_image_input", parts.image_input),
            ("request.part_reasoning", parts.reasoning),
            ("request.part_audio_output", parts.audio_output),
            ("request.part_image_output", parts.image_output),
            ("request.part_images", parts.images),
            ("request.part_characters", parts.characters),
            ("request.part_searches", parts.searches),
        ];
        let line = |(key, n): (&'static str, u64)| (n > 0).then(|| self.with(key, "n", self.count(&whole(n))));
        let sound = (parts.audio_ms > 0).then(|| self.with("request.part_audio", "n", self.duration(&whole(parts.audio_ms))));
        counts.into_iter().filter_map(line).chain(sound).collect()
    }

    /// Whether something was typed into one of these fields, whose names are divided by spaces: then their group stands open.
    pub fn is_set(&self, form: &Form, names: &str) -> bool {
        names.split(' ').any(|name| !form.text(name).is_empty() || form.errors().iter().any(|(field, _)| *field == name))
    }

    /// When answers are kept, for a field.
    pub fn cache_choices(&self) -> Vec<(&'static str, String)> {
        [("", "model.cache_cold"), ("always", "model.cache_always")].map(|(value, key)| (value, self.t(key).into_owned())).to_vec()
    }
}

fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
