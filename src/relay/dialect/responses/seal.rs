//! What stands in `encrypted_content`: a provider's own seal, or, marked, what another dialect has and Responses has no item for.

use super::super::Dialect;
use super::super::canonical::Signature;

/// Before withheld words, most of which are Anthropic's `redacted_thinking`.
const REDACTED: &str = "farebox.redacted.";
/// Before the seal that Gemini puts on a tool call, in an item before that call.
const CALL: &str = "farebox.call.";

/// What a `reasoning` item carries beside its words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seal {
    /// The seal on its words.
    Thought(Signature),
    /// Words that the provider withholds.
    Redacted(Signature),
    /// The seal on the tool call that follows.
    Call(Signature),
}

impl Seal {
    /// As it stands in the item.
    pub(super) fn write(&self) -> String {
        match self {
            Seal::Thought(signature) => signature.write(Dialect::Responses),
            Seal::Redacted(data) => format!("{REDACTED}{}", data.write(Dialect::Messages)),
            Seal::Call(signature) => format!("{CALL}{}.{}", signature.of.word(), signature.value),
        }
    }

    /// Reads what stands in an item.
    pub(super) fn read(written: &str) -> Self {
        if let Some(data) = written.strip_prefix(REDACTED) {
            return Seal::Redacted(Signature::read(Dialect::Messages, data));
        }
        let call = written.strip_prefix(CALL).and_then(|rest| rest.split_once('.'));
        if let Some((of, value)) = call.and_then(|(word, value)| Some((Dialect::from_word(word)?, value))) {
            return Seal::Call(Signature { of, value: value.to_owned() });
        }
        Seal::Thought(Signature::read(Dialect::Responses, written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_are_read_as_what_they_were_and_the_providers_own_goes_bare() {
        let of = |of| Signature { of, value: "a.b==".to_owned() };
        let own = Seal::Thought(of(Dialect::Responses));
        assert_eq!(own.write(), "a.b==");
        for seal in [
            own,
            Seal::Thought(of(Dialect::Messages)),
            Seal::Redacted(of(Dialect::Messages)),
            Seal::Redacted(of(Dialect::Chat)),
            Seal::Call(of(Dialect::Gemini)),
        ] {
            assert_eq!(Seal::read(&seal.write()), seal);
        }
    }
}
