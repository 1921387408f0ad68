//! The fields of the model form as typed.

use crate::catalog::Model;
use crate::kernel::pricing::Tier;
use crate::kernel::{Price, Prices};

macro_rules! text_fields {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The fields of the form as typed; kept to show them again beside their mistakes.
        #[derive(Clone, Debug, Default)]
        pub struct ModelFields {
            $($(#[$doc])* pub $name: String,)*
        }

        impl ModelFields {
            /// Reads each field by its name.
            pub fn read(typed: impl Fn(&'static str) -> String) -> Self {
                Self { $($name: typed(stringify!($name)),)* }
            }

            /// Every field with its name.
            pub fn pairs(&self) -> impl Iterator<Item = (&'static str, &str)> {
                [$((stringify!($name), self.$name.as_str()),)*].into_iter()
            }
        }
    };
}

text_fields! {
    /// The name that callers send.
    name,
    /// A checkbox.
    enabled,
    /// A whole number, or empty when not known.
    max_output_tokens,
    /// A whole number, or empty when not known.
    context_length,
    /// Dollars per million tokens.
    input,
    /// Dollars per million tokens.
    output,
    /// Dollars per million tokens; empty means as input.
    cached_input,
    /// Dollars per million tokens; empty means as input.
    cache_write,
    /// Dollars per million tokens. This and the following may be empty: `kernel::pricing::Rare` says what each then costs.
    cache_write_1h,
    /// Dollars per million tokens.
    audio_input,
    /// Dollars per million tokens.
    image_input,
    /// Dollars per million tokens.
    reasoning,
    /// Dollars per million tokens.
    audio_output,
    /// Dollars per million tokens.
    image_output,
    /// Dollars per million characters.
    characters,
    /// Dollars per minute.
    audio_minute,
    /// Dollars each.
    image,
    /// Dollars each.
    request,
    /// Dollars each.
    search,
    /// The rates of long inputs begin above so many tokens; empty when there are none.
    tier1_above,
    /// Dollars per million tokens.
    tier1_input,
    /// Dollars per million tokens.
    tier1_output,
    /// Dollars per million tokens; may be empty.
    tier1_cached_input,
    /// Dollars per million tokens; may be empty.
    tier1_cache_write,
    /// Dollars per million tokens; may be empty.
    tier1_cache_write_1h,
    /// The rates of even longer inputs.
    tier2_above,
    /// Dollars per million tokens.
    tier2_input,
    /// Dollars per million tokens.
    tier2_output,
    /// Dollars per million tokens; may be empty.
    tier2_cached_input,
    /// Dollars per million tokens; may be empty.
    tier2_cache_write,
    /// Dollars per million tokens; may be empty.
    tier2_cache_write_1h,
    /// For how many seconds answers are kept; empty for not at all.
    cache_ttl,
    /// "always", or else only at temperature 0.
    cache_when,
    /// What a kept answer costs, as a share of the full price.
    cache_factor,
    /// A checkbox.
    cache_shared,
}

impl ModelFields {
    /// What would have to be typed for a model as it is, at the prices in force at `now_ms`.
    pub fn of(model: &Model, now_ms: i64) -> Self {
        let number = |n: Option<u64>| n.map(|n| n.to_string()).unwrap_or_default();
        let mut fields = Self {
            name: model.name.clone(),
            enabled: ticked(model.enabled),
            max_output_tokens: number(model.max_output_tokens),
            context_length: number(model.context_length),
            ..Self::default()
        };
        if let Some(caching) = model.caching {
            fields.cache_ttl = (caching.ttl_ms / 1000).to_string();
            fields.cache_when = if caching.always { "always" } else { "" }.to_owned();
            fields.cache_factor = caching.factor.to_string();
            fields.cache_shared = ticked(caching.shared);
        }
        if let Some((_, prices)) = model.price_at(now_ms) {
            fields.fill_prices(prices);
        }
        fields
    }

    fn fill_prices(&mut self, prices: &Prices) {
        self.input = prices.input.to_string();
        self.output = prices.output.to_string();
        self.cached_input = prices.cached_input.to_string();
        self.cache_write = prices.cache_write.to_string();
        let Some(rare) = &prices.rare else { return };
        self.cache_write_1h = typed(rare.cache_write_1h);
        self.audio_input = typed(rare.audio_input);
        self.image_input = typed(rare.image_input);
        self.reasoning = typed(rare.reasoning);
        self.audio_output = typed(rare.audio_output);
        self.image_output = typed(rare.image_output);
        self.characters = typed(rare.characters);
        self.audio_minute = typed(rare.audio_minute);
        self.image = typed(rare.image);
        self.request = typed(rare.request);
        self.search = typed(rare.search);
        if let Some(tier) = rare.tiers.first() {
            [self.tier1_above, self.tier1_input, self.tier1_output, self.tier1_cached_input, self.tier1_cache_write, self.tier1_cache_write_1h] =
                typed_tier(tier);
        }
        if let Some(tier) = rare.tiers.get(1) {
            [self.tier2_above, self.tier2_input, self.tier2_output, self.tier2_cached_input, self.tier2_cache_write, self.tier2_cache_write_1h] =
                typed_tier(tier);
        }
    }
}

fn ticked(is: bool) -> String {
    if is { "on" } else { "" }.to_owned()
}

fn typed(price: Option<Price>) -> String {
    price.map(|price| price.to_string()).unwrap_or_default()
}

fn typed_tier(tier: &Tier) -> [String; 6] {
    let Tier { above, input, output, cached_input, cache_write, cache_write_1h } = *tier;
    [above.to_string(), input.to_string(), output.to_string(), typed(cached_input), typed(cache_write), typed(cache_write_1h)]
}
