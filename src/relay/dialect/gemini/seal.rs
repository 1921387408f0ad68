//! What stands in `thoughtSignature`: Google's own seal, or another provider's in base64 with a mark, because clients decode the field.

use super::super::Dialect;
use super::super::canonical::Signature;
use data_encoding::{BASE64, BASE64URL, Encoding};

/// Before withheld words, most of which are Anthropic's `redacted_thinking`.
const REDACTED: &str = "farebox.redacted.";

/// A seal, or words that a provider withholds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seal {
    /// The seal on a part.
    Signature(Signature),
    /// Withheld words.
    Redacted(Signature),
}

impl Seal {
    /// As it stands in a part.
    pub(super) fn write(&self) -> String {
        match self {
            Seal::Signature(signature) if signature.of == Dialect::Gemini => signature.value.clone(),
            Seal::Signature(signature) => BASE64.encode(signature.write(Dialect::Gemini).as_bytes()),
            Seal::Redacted(data) => BASE64.encode(format!("{REDACTED}{}", data.write(Dialect::Messages)).as_bytes()),
        }
    }

    /// Whether another provider made it.
    pub(super) fn is_foreign(&self) -> bool {
        !matches!(self, Seal::Signature(Signature { of: Dialect::Gemini, .. }))
    }

    /// Reads what stands in a part.
    pub(super) fn read(written: String) -> Self {
        let decoded = |alphabet: &Encoding| String::from_utf8(alphabet.decode(written.as_bytes()).ok()?).ok();
        // Some clients write the URL's alphabet.
        let marked = [BASE64, BASE64URL].iter().find_map(decoded).filter(|text| text.starts_with("farebox."));
        match marked {
            Some(text) => match text.strip_prefix(REDACTED) {
                Some(data) => Seal::Redacted(Signature::read(Dialect::Messages, data)),
                None => Seal::Signature(Signature::read(Dialect::Gemini, &text)),
            },
            None => Seal::Signature(Signature { of: Dialect::Gemini, value: written }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seals_are_read_as_what_they_were_in_either_alphabet() {
        let of = |of, value: &str| Seal::Signature(Signature { of, value: value.to_owned() });
        let redacted = |of| Seal::Redacted(Signature { of, value: "x.y".to_owned() });
        assert_eq!(of(Dialect::Gemini, "CiQB").write(), "CiQB");
        for seal in [
            of(Dialect::Gemini, "CiQB"),
            of(Dialect::Messages, "ErU?>~BCk=="),
            of(Dialect::Responses, "gAAA"),
            redacted(Dialect::Messages),
            redacted(Dialect::Chat),
        ] {
            let written = seal.write();
            assert_eq!(Seal::read(written.clone()), seal);
            assert_eq!(Seal::read(written.replace('+', "-").replace('/', "_")), seal);
        }
    }
}
