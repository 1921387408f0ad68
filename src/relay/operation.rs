//! What a caller may ask for: the paths of `/v1` and `/v1beta` that reach an upstream.

use super::dialect::Dialect;

/// One kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// An answer of a model, in one of the four dialects that are translated into each other.
    Generate(Dialect),
    /// OpenAI's legacy Completions.
    Completions,
    /// OpenAI Embeddings.
    Embeddings,
    /// OpenAI Moderations.
    Moderations,
    /// OpenAI Images, from a prompt.
    ImageGenerations,
    /// OpenAI Images, from pictures and a prompt: multipart, or JSON with addresses.
    ImageEdits,
    /// OpenAI Audio: text to sound.
    Speech,
    /// OpenAI Audio: sound to text. Multipart.
    Transcriptions,
    /// OpenAI Audio: sound to English text. Multipart.
    Translations,
    /// Documents by how well they answer a query, as Jina and Cohere have it.
    Rerank,
    /// Gemini `embedContent`.
    GeminiEmbed,
    /// Gemini `batchEmbedContents`.
    GeminiEmbedBatch,
}

/// Whose words errors are told in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tongue {
    /// `{"error":{"message","type","param","code"}}`
    OpenAi,
    /// `{"type":"error","error":{"type","message"},"request_id"}`
    Anthropic,
    /// `{"error":{"code","message","status"}}`
    Gemini,
}

impl Operation {
    /// Whose words its errors are told in.
    pub const fn tongue(self) -> Tongue {
        match self {
            Operation::Generate(Dialect::Messages) => Tongue::Anthropic,
            Operation::Generate(Dialect::Gemini) | Operation::GeminiEmbed | Operation::GeminiEmbedBatch => Tongue::Gemini,
            _ => Tongue::OpenAi,
        }
    }

    /// Its name on the usage row.
    pub const fn word(self) -> &'static str {
        match self {
            Operation::Generate(dialect) => dialect.word(),
            Operation::Completions => "completions",
            Operation::Embeddings => "embeddings",
            Operation::Moderations => "moderations",
            Operation::ImageGenerations => "images",
            Operation::ImageEdits => "image_edits",
            Operation::Speech => "speech",
            Operation::Transcriptions => "transcriptions",
            Operation::Translations => "translations",
            Operation::Rerank => "rerank",
            Operation::GeminiEmbed | Operation::GeminiEmbedBatch => "gemini_embed",
        }
    }

    /// Its path behind a base URL that ends in a version, in OpenAI's API; none for those of other APIs.
    pub const fn openai_path(self) -> Option<&'static str> {
        Some(match self {
            Operation::Generate(Dialect::Chat) => "chat/completions",
            Operation::Generate(Dialect::Responses) => "responses",
            Operation::Completions => "completions",
            Operation::Embeddings => "embeddings",
            Operation::Moderations => "moderations",
            Operation::ImageGenerations => "images/generations",
            Operation::ImageEdits => "images/edits",
            Operation::Speech => "audio/speech",
            Operation::Transcriptions => "audio/transcriptions",
            Operation::Translations => "audio/translations",
            Operation::Rerank => "rerank",
            Operation::Generate(Dialect::Messages | Dialect::Gemini) | Operation::GeminiEmbed | Operation::GeminiEmbedBatch => return None,
        })
    }
}
