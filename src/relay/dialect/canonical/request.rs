//! A request in the form between the dialects.

use super::super::Dialect;
use serde_json::{Map, Number, Value};

/// What a caller asks of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The model's public name.
    pub model: String,
    /// What stands before the conversation: system and developer prompts, in order.
    pub instructions: Vec<Instruction>,
    /// The conversation. Neighbours may have the same role: whoever renders for a dialect that forbids it joins them.
    pub messages: Vec<Message>,
    /// What the model may call.
    pub tools: Vec<Tool>,
    /// Tools that the caller knows by another name than the models do.
    pub aliases: Vec<Alias>,
    /// Whether it must; none for the dialect's default, which is [`Choice::Auto`] everywhere.
    pub tool_choice: Option<Choice>,
    /// Whether it may make several calls at once; none for the default, which is yes everywhere.
    pub parallel_tool_calls: Option<bool>,
    /// The most output tokens, thoughts included.
    pub output_cap: Option<u64>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Hints on how to draw. Left out where they are not known.
    pub sampling: Sampling,
    /// What form the answer takes; none for free text.
    pub format: Option<Format>,
    /// How much to think, and whether to show it.
    pub reasoning: Option<Reasoning>,
    /// How wordy to be: `low`, `medium`, `high`. A hint.
    pub verbosity: Option<String>,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// Who asks, for the provider's abuse detection. A hint.
    pub user: Option<String>,
    /// What keeps a conversation on a warm cache. A hint.
    pub cache_key: Option<String>,
    /// The provider's class of service. A hint.
    pub service_tier: Option<String>,
    /// The caller's notes, which an answer in its dialect repeats.
    pub metadata: Map<String, Value>,
}

impl Request {
    /// The tool of that name.
    pub fn tool(&self, name: &str) -> Option<&Tool> {
        self.tools.iter().find(|tool| tool.name == name)
    }

    /// Whether the tool of that name takes free text. A provider that does not know such tools calls it as a function, with the text in `input`.
    pub fn is_custom(&self, name: &str) -> bool {
        self.tool(name).is_some_and(|tool| matches!(tool.kind, ToolKind::Custom { .. }))
    }

    /// What the caller knows the tool by, when that is something else.
    pub fn alias(&self, name: &str) -> Option<&Alias> {
        self.aliases.iter().find(|alias| alias.name == name)
    }
}

/// A tool that Responses groups in a `namespace`, which no other dialect has: the models see one name for both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The name in [`Request::tools`].
    pub name: String,
    /// The group.
    pub namespace: String,
    /// The name within the group.
    pub own: String,
}

/// A prompt that stands over the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruction {
    /// OpenAI tells a `developer` from a `system` prompt; others know one kind.
    pub developer: bool,
    /// The prompt.
    pub text: Text,
}

/// A turn of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Whose turn.
    pub role: Role,
    /// What it has. Tool results stand in turns of the user, tool calls and thoughts in turns of the assistant.
    pub parts: Vec<Part>,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The caller's side.
    User,
    /// The model's.
    Assistant,
    /// An instruction in the middle of the conversation: only OpenAI's dialects know it. `developer` as in [`Instruction`].
    System {
        /// See [`Instruction::developer`].
        developer: bool,
    },
}

/// A part of a turn or of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Words.
    Text(Text),
    /// A picture.
    Image(Image),
    /// A document.
    File(File),
    /// Sound: base64 and its format (`wav`, `mp3`).
    Audio {
        /// Base64.
        data: String,
        /// `wav`, `mp3` and so on.
        format: String,
    },
    /// The model calls a tool.
    ToolCall(ToolCall),
    /// What a tool answered.
    ToolResult(ToolResult),
    /// What the model thought.
    Thought(Thought),
    /// The model declines.
    Refusal(String),
}

/// Words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The words.
    pub text: String,
    /// Anthropic's `cache_control` on this part: none, or its time to live (`5m`, `1h`). A hint for whoever does not know it.
    pub cache: Option<String>,
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), cache: None }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self { text, cache: None }
    }
}

/// Where a picture or a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// At an address.
    Url(String),
    /// Here.
    Base64 {
        /// Such as `image/png`.
        media_type: String,
        /// Base64.
        data: String,
    },
    /// Plain text that stands for a document (Anthropic's `text` source).
    Text(String),
    /// With the provider, under a name of its own: fits only the dialect it came in.
    FileId {
        /// Whose.
        of: Dialect,
        /// The name.
        id: String,
    },
}

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Where it is.
    pub source: Source,
    /// OpenAI's `detail`: `low`, `high`, `auto`. A hint.
    pub detail: Option<String>,
    /// As [`Text::cache`].
    pub cache: Option<String>,
}

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub source: Source,
    /// Its name or title.
    pub name: Option<String>,
    /// As [`Text::cache`].
    pub cache: Option<String>,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// Ties the result to the call. Gemini often gives none: then one is made up that is the same on every reading.
    pub id: String,
    /// The tool.
    pub name: String,
    /// JSON text as the model wrote it, which may be broken; for [`ToolKind::Custom`] the bare input.
    pub arguments: String,
    /// Of a custom tool.
    pub custom: bool,
    /// Gemini wants it back.
    pub signature: Option<Signature>,
    /// As [`Text::cache`].
    pub cache: Option<String>,
}

/// What a tool answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolResult {
    /// The call's id.
    pub call_id: String,
    /// The tool, where the dialect says or the conversation has told.
    pub name: Option<String>,
    /// The answer: texts, pictures, documents.
    pub parts: Vec<Part>,
    /// The tool failed.
    pub is_error: bool,
    /// Of a custom tool.
    pub custom: bool,
    /// As [`Text::cache`].
    pub cache: Option<String>,
}

/// What a model thought.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thought {
    /// The item's id, where the dialect has one (Responses).
    pub id: Option<String>,
    /// The words; empty when they are withheld.
    pub text: String,
    /// The words are the provider's summary and not the thoughts themselves.
    pub summary: bool,
    /// What the provider wants back to go on from it: Anthropic's `signature`, Gemini's `thoughtSignature`, OpenAI's `encrypted_content`.
    pub signature: Option<Signature>,
    /// Anthropic's `redacted_thinking`, or the like of a server of Chat's: no words, only this.
    pub redacted: Option<Signature>,
}

/// A provider's sealed thoughts. Only a provider of the same dialect can open it; carried through another dialect it is written with a mark of ours, so that it
/// comes back as what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Whose.
    pub of: Dialect,
    /// As the provider sent it.
    pub value: String,
}

const MARK: &str = "farebox.";

impl Signature {
    /// As it stands in a message of `dialect`: bare at home, marked abroad.
    pub fn write(&self, dialect: Dialect) -> String {
        if dialect == self.of { self.value.clone() } else { format!("{MARK}{}.{}", self.of.word(), self.value) }
    }

    /// Reads what stands in a message of `dialect`.
    pub fn read(dialect: Dialect, written: &str) -> Self {
        let marked = written.strip_prefix(MARK).and_then(|rest| rest.split_once('.'));
        let known = marked.and_then(|(word, value)| Some((Dialect::from_word(word)?, value)));
        match known {
            Some((of, value)) => Self { of, value: value.to_owned() },
            None => Self { of: dialect, value: written.to_owned() },
        }
    }

    /// The bare value, when a provider of `dialect` made it.
    pub fn for_provider(&self, dialect: Dialect) -> Option<&str> {
        (self.of == dialect).then_some(self.value.as_str())
    }
}

/// What the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// What it takes.
    pub kind: ToolKind,
    /// As [`Text::cache`].
    pub cache: Option<String>,
}

/// What a tool takes.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolKind {
    /// An object by this JSON schema; none when it takes nothing.
    Function {
        /// The schema.
        parameters: Option<Value>,
        /// OpenAI's promise that arguments keep to the schema. A hint elsewhere.
        strict: Option<bool>,
    },
    /// Free text (OpenAI's `custom`), perhaps by a grammar. For whoever does not know it, a function with one string `input`.
    Custom {
        /// OpenAI's `format`, as it came.
        format: Option<Value>,
    },
}

/// Whether the model calls tools.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// As it likes.
    Auto,
    /// It must call one.
    Required,
    /// It must not.
    None,
    /// It must call this one.
    Named(String),
    /// It may call these alone; `required` when it must call one of them.
    Among {
        /// Their names.
        names: Vec<String>,
        /// It must call one.
        required: bool,
    },
}

/// Hints on how to draw the answer, as they were written.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    /// 0 to 2, with Anthropic to 1.
    pub temperature: Option<Number>,
    /// Nucleus.
    pub top_p: Option<Number>,
    /// Of the most likely.
    pub top_k: Option<Number>,
    /// OpenAI and Gemini.
    pub frequency_penalty: Option<Number>,
    /// OpenAI and Gemini.
    pub presence_penalty: Option<Number>,
    /// OpenAI and Gemini.
    pub seed: Option<Number>,
}

/// What form the answer takes.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// Any JSON object.
    JsonObject,
    /// JSON by a schema.
    JsonSchema {
        /// OpenAI wants a name; others have none.
        name: Option<String>,
        /// What it is for.
        description: Option<String>,
        /// The schema.
        schema: Value,
        /// Whether it must be kept to the letter.
        strict: Option<bool>,
    },
}

/// How much to think, and whether to show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// In words (OpenAI; newer models of the others).
    pub effort: Option<Effort>,
    /// In tokens (Anthropic's `budget_tokens`, Gemini's `thinkingBudget`). 0 switches thinking off; `None` beside `dynamic` leaves it to the model.
    pub budget: Option<u64>,
    /// The model decides (Gemini's -1, Anthropic's `adaptive`).
    pub dynamic: bool,
    /// Show the thoughts or a summary of them: OpenAI's `summary` word (`auto`, `concise`, `detailed`), for Gemini's `includeThoughts` `auto`.
    pub summary: Option<String>,
    /// The caller wants the sealed thoughts back (OpenAI's `include: ["reasoning.encrypted_content"]`).
    pub sealed: bool,
}

/// How much to think, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    /// Not at all.
    None,
    /// As little as can be.
    Minimal,
    /// A little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// Very much.
    XHigh,
    /// Without restraint.
    Max,
}

impl Effort {
    /// OpenAI's word.
    pub const fn word(self) -> &'static str {
        match self {
            Effort::None => "none",
            Effort::Minimal => "minimal",
            Effort::Low => "low",
            Effort::Medium => "medium",
            Effort::High => "high",
            Effort::XHigh => "xhigh",
            Effort::Max => "max",
        }
    }

    /// From OpenAI's word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::XHigh, Self::Max].into_iter().find(|effort| effort.word() == word)
    }

    /// The thinking budget that stands for it with providers that count tokens.
    pub const fn budget(self) -> u64 {
        match self {
            Effort::None => 0,
            Effort::Minimal => 1_024,
            Effort::Low => 2_048,
            Effort::Medium => 8_192,
            Effort::High => 24_576,
            Effort::XHigh => 32_768,
            Effort::Max => 65_536,
        }
    }

    /// The word for a budget, for providers that know words only: of those that every model that reasons knows.
    pub const fn of_budget(tokens: u64) -> Self {
        match tokens {
            0 => Effort::None,
            1..=4_096 => Effort::Low,
            4_097..=16_384 => Effort::Medium,
            _ => Effort::High,
        }
    }
}
