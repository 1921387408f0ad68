//! What the demo has on its shelves: a channel of each kind, and the models that it serves with the prices that a shop would ask.

use crate::catalog::{ModelDraft, ModelFields};
use crate::channels::{ChannelDraft, ChannelFields, Kind};
use crate::kernel::FieldError;
use crate::kernel::secrets::Secret;
use crate::plans::PlanDraft;

/// A model by its name, and the fields of its form that are filled in.
struct Offer {
    name: &'static str,
    fields: &'static [(&'static str, &'static str)],
}

/// A channel to the simulated provider.
struct Supply {
    name: &'static str,
    kind: Kind,
    /// The fields of the dialects that it is said to speak.
    speaks: &'static [&'static str],
    offers: &'static [Offer],
}

/// A model of words: dollars per million tokens of input, output, cached input and cache writes; no answer is longer than 4096 tokens.
macro_rules! words {
    ($name:literal, $input:literal, $output:literal, $cached:literal, $write:literal) => {
        Offer {
            name: $name,
            fields: &[("max_output_tokens", "4096"), ("input", $input), ("output", $output), ("cached_input", $cached), ("cache_write", $write)],
        }
    };
}

/// A model of something else, by the fields of its price.
macro_rules! other {
    ($name:literal, $($field:ident $price:literal),+) => {
        Offer { name: $name, fields: &[$((stringify!($field), $price)),+] }
    };
}

/// A model to begin with.
pub(super) const FIRST: &str = "demo-mini";

/// The channels: one of each kind, one with Responses only, and one whose models fail in one way each, for trying out what then happens. No name of a model
/// that behaves has a switch of the simulated provider in it.
const SUPPLIES: &[Supply] = &[
    Supply {
        name: "Simulated provider",
        kind: Kind::OpenAi,
        speaks: &["chat"],
        offers: &[
            words!("demo-chat", "2.50", "10", "1.25", "2.50"),
            words!("demo-mini", "0.15", "0.60", "0.075", "0.15"),
            words!("demo-thinker-reasoning-24", "1.10", "4.40", "0.55", "1.10"),
            other!("embed-demo", input "0.02", output "0"),
            other!("image-demo", input "5", output "40", cached_input "1.25", image_input "10"),
            other!("dall-e-demo", input "0", output "0", image "0.04"),
            other!("speech-demo", input "0", output "0", characters "15"),
            other!("whisper-demo", input "0", output "0", audio_minute "0.006"),
            other!("transcribe-demo", input "2.50", output "10", audio_input "6"),
            other!("moderation-demo", input "0", output "0", request "0.0001"),
            other!("rerank-demo", input "0", output "0", search "0.002"),
        ],
    },
    Supply { name: "Simulated Responses", kind: Kind::OpenAi, speaks: &["responses"], offers: &[words!("responses-demo", "1.25", "10", "0.125", "1.25")] },
    Supply { name: "Simulated Anthropic", kind: Kind::Anthropic, speaks: &[], offers: &[words!("claude-demo", "3", "15", "0.30", "3.75")] },
    Supply {
        name: "Simulated Gemini",
        kind: Kind::Gemini,
        speaks: &[],
        offers: &[words!("gemini-demo", "0.30", "2.50", "0.03", "0.30"), other!("gemini-embed-demo", input "0.15", output "0")],
    },
    Supply { name: "Simulated Azure", kind: Kind::AzureOpenAi, speaks: &["chat", "responses"], offers: &[words!("azure-demo", "2.75", "11", "1.375", "2.75")] },
    Supply {
        name: "Simulated trouble",
        kind: Kind::OpenAi,
        speaks: &["chat"],
        offers: &[
            words!("demo-429", "0.15", "0.60", "", ""),
            words!("demo-500", "0.15", "0.60", "", ""),
            words!("demo-stall", "0.15", "0.60", "", ""),
            words!("demo-cut", "0.15", "0.60", "", ""),
            words!("demo-no-usage", "0.15", "0.60", "", ""),
            words!("demo-slow", "0.15", "0.60", "", ""),
        ],
    },
];

/// Every model as its form would be filled in.
pub(super) fn model_drafts() -> impl Iterator<Item = Result<ModelDraft, Vec<FieldError>>> {
    SUPPLIES.iter().flat_map(|supply| supply.offers).map(|offer| {
        let field = |name: &'static str| offer.fields.iter().find(|(field, _)| *field == name).map_or("", |(_, value)| value).to_owned();
        let fields = ModelFields { name: offer.name.to_owned(), enabled: "on".to_owned(), ..ModelFields::read(field) };
        ModelDraft::parse(&fields)
    })
}

/// The plans, by the fields of their forms.
const PLANS: [&[(&str, &str)]; 2] = [
    &[
        ("name", "Monthly"),
        ("description", "For every day, at a better price than by the token.\nWhat is used beyond it comes from the balance."),
        ("badge", "Popular"),
        ("price", "20"),
        ("sold", "both"),
        ("trial_days", "7"),
        ("length", "1"),
        ("length_unit", "month"),
        ("allowance", "25"),
        ("reset", "month"),
        ("used_up", "wallet"),
        ("stacking", "extend"),
        ("model_rule", "allow"),
        ("rpm", "600"),
        ("visibility", "public"),
        ("sort", "1"),
    ],
    &[
        ("name", "Week pass"),
        ("description", "A dollar each day, for the small model."),
        ("price", "3"),
        ("sold", "once"),
        ("length", "7"),
        ("length_unit", "day"),
        ("allowance", "1"),
        ("reset", "day"),
        ("used_up", "stop"),
        ("stacking", "extend"),
        ("model_rule", "allow"),
        ("models", FIRST),
        ("visibility", "public"),
        ("sort", "2"),
    ],
];

/// Every plan as its form would be filled in.
pub(super) fn plan_drafts() -> impl Iterator<Item = Result<PlanDraft, Vec<FieldError>>> {
    PLANS.iter().map(|fields| PlanDraft::parse(|name| fields.iter().find(|(field, _)| *field == name).map_or("", |(_, value)| value)))
}

/// Every channel as its form would be filled in.
pub(super) fn channel_drafts(base_url: &str, key: &str) -> impl Iterator<Item = Result<ChannelDraft, Vec<FieldError>>> {
    SUPPLIES.iter().map(move |supply| {
        let models: Vec<&str> = supply.offers.iter().map(|offer| offer.name).collect();
        let ticked = |field: &str| if supply.speaks.contains(&field) { "on" } else { "" }.to_owned();
        let fields = ChannelFields {
            name: supply.name.to_owned(),
            kind: supply.kind.word().to_owned(),
            base_url: base_url.to_owned(),
            key: Secret::new(key.to_owned()),
            models: models.join("\n"),
            enabled: "on".to_owned(),
            chat: ticked("chat"),
            responses: ticked("responses"),
            ..ChannelFields::default()
        };
        ChannelDraft::parse(&fields, None)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::upstream::Switches;

    /// The models that behave.
    fn models() -> Vec<&'static str> {
        let trouble = SUPPLIES.len() - 1;
        SUPPLIES[..trouble].iter().flat_map(|supply| supply.offers).map(|offer| offer.name).collect()
    }

    #[test]
    fn every_model_and_channel_is_without_mistakes() {
        for draft in model_drafts() {
            draft.unwrap();
        }
        for draft in plan_drafts() {
            draft.unwrap();
        }
        for draft in channel_drafts("http://127.0.0.1:1", "key") {
            draft.unwrap();
        }
        assert!(models().contains(&FIRST));
    }

    #[test]
    fn the_models_that_behave_have_no_switch_in_their_names() {
        for name in models().into_iter().filter(|name| *name != "demo-thinker-reasoning-24") {
            let mut switches = Switches::default();
            switches.read_model(name);
            assert_eq!(switches, Switches::default(), "{name}");
        }
    }
}
