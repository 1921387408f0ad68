//! The words for what an upstream is and which chat dialects it speaks. Pure: the relay uses the same ones for its callers.

/// A family of chat APIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// OpenAI's `POST /v1/chat/completions`.
    Chat,
    /// OpenAI's `POST /v1/responses`.
    Responses,
    /// Anthropic's `POST /v1/messages`.
    Messages,
    /// Gemini's `:generateContent` and `:streamGenerateContent`.
    Gemini,
}

impl Dialect {
    /// All of them, those first into which most requests translate without loss.
    pub const ALL: [Dialect; 4] = [Dialect::Chat, Dialect::Responses, Dialect::Messages, Dialect::Gemini];

    /// The word for it in logs and stored JSON.
    pub const fn word(self) -> &'static str {
        match self {
            Dialect::Chat => "chat",
            Dialect::Responses => "responses",
            Dialect::Messages => "messages",
            Dialect::Gemini => "gemini",
        }
    }

    /// From its word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.word() == word)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// A set of dialects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialects(u8);

impl Dialects {
    /// Those of a list.
    pub fn of(dialects: &[Dialect]) -> Self {
        Self(dialects.iter().fold(0, |bits, dialect| bits | dialect.bit()))
    }

    /// This set and one more.
    #[must_use]
    pub fn with(self, dialect: Dialect) -> Self {
        Self(self.0 | dialect.bit())
    }

    /// Whether it is in the set.
    pub fn contains(self, dialect: Dialect) -> bool {
        self.0 & dialect.bit() != 0
    }

    /// The one to speak to an upstream of this set on behalf of a caller of `dialect`: the caller's own when it is in the set, since then
    /// nothing needs to be translated, else the first of [`Dialect::ALL`]. None for an empty set.
    pub fn nearest(self, dialect: Dialect) -> Option<Dialect> {
        if self.contains(dialect) { Some(dialect) } else { Dialect::ALL.into_iter().find(|known| self.contains(*known)) }
    }
}

/// What kind of API an upstream has: its addresses, how it wants its key, what it speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// OpenAI, or any server that is compatible with it.
    #[default]
    OpenAi,
    /// Anthropic.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
    /// OpenAI's models as Azure serves them.
    AzureOpenAi,
}

impl Kind {
    /// All of them, in the order in which a form offers them.
    pub const ALL: [Kind; 4] = [Kind::OpenAi, Kind::Anthropic, Kind::Gemini, Kind::AzureOpenAi];

    /// The word in the database and in forms.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::OpenAi => "openai",
            Kind::Anthropic => "anthropic",
            Kind::Gemini => "gemini",
            Kind::AzureOpenAi => "azure-openai",
        }
    }

    /// The kind that a word stands for.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }

    /// What an upstream of the kind speaks when nobody has said otherwise.
    pub fn speaks(self) -> Dialects {
        match self {
            Kind::OpenAi => Dialects::of(&[Dialect::Chat]),
            Kind::Anthropic => Dialects::of(&[Dialect::Messages]),
            Kind::Gemini => Dialects::of(&[Dialect::Gemini]),
            Kind::AzureOpenAi => Dialects::of(&[Dialect::Chat, Dialect::Responses]),
        }
    }

    /// Those of which an upstream of the kind may speak some and others not: its admin has to say which.
    pub fn may_speak(self) -> &'static [Dialect] {
        match self {
            Kind::OpenAi => &[Dialect::Chat, Dialect::Responses, Dialect::Messages],
            Kind::AzureOpenAi => &[Dialect::Chat, Dialect::Responses],
            Kind::Anthropic | Kind::Gemini => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_meets_its_own_dialect_where_it_is_spoken() {
        let both = Kind::OpenAi.speaks().with(Dialect::Responses);
        assert_eq!(both.nearest(Dialect::Responses), Some(Dialect::Responses));
        assert_eq!(both.nearest(Dialect::Messages), Some(Dialect::Chat));
        assert_eq!(Dialects::of(&[Dialect::Messages, Dialect::Responses]).nearest(Dialect::Gemini), Some(Dialect::Responses));
        assert_eq!(Kind::Gemini.speaks().nearest(Dialect::Chat), Some(Dialect::Gemini));
        assert_eq!(Dialects::default().nearest(Dialect::Chat), None);
    }

    #[test]
    fn kinds_have_words() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_word(kind.word()), Some(kind));
        }
        assert_eq!(Kind::from_word("OpenAI"), None);
    }
}
