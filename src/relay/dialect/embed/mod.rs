//! Embeddings between OpenAI's `/v1/embeddings` and Gemini's `:embedContent` and `:batchEmbedContents`, requests and answers. Formats:
//! <https://platform.openai.com/docs/api-reference/embeddings>, <https://ai.google.dev/api/embeddings>. Pure.
//!
//! `dimensions` is `outputDimensionality`. What a text is for (`taskType`) is a hint that OpenAI does not know; from an OpenAI caller it is taken as
//! `task_type`. Inputs that are tokens, or anything but text, are refused by name. Numbers pass digit by digit, except into and out of base64.

mod gemini;
mod openai;

pub use gemini::{gemini_answer_to_openai, gemini_to_openai, with_counted};
pub use openai::{openai_answer_to_gemini, openai_to_gemini};

use super::canonical::Broken;
use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A vector as it is written.
#[derive(Clone, Debug)]
enum Vector<'a> {
    /// A JSON array of numbers.
    Numbers(&'a str),
    /// Base64 of 32-bit floats, the lowest byte first.
    Base64(String),
}

impl<'a> Vector<'a> {
    fn read(raw: &'a RawValue) -> Result<Self, Broken> {
        match raw.get().as_bytes().first() {
            Some(b'[') => {
                serde_json::from_str::<Vec<f64>>(raw.get()).map_err(|error| Broken::Garbage(format!("an embedding: {error}")))?;
                Ok(Vector::Numbers(raw.get()))
            }
            Some(b'"') => {
                let text: String = serde_json::from_str(raw.get()).map_err(|error| Broken::Garbage(format!("an embedding: {error}")))?;
                Ok(Vector::Base64(text))
            }
            _ => Err(Broken::Garbage("an embedding that is no array".to_owned())),
        }
    }

    /// As a JSON array.
    fn numbers(&self) -> Result<String, Broken> {
        match self {
            Vector::Numbers(numbers) => Ok((*numbers).to_owned()),
            Vector::Base64(text) => {
                let bytes = BASE64.decode(text.as_bytes()).map_err(|error| Broken::Garbage(format!("an embedding in base64: {error}")))?;
                let (floats, rest) = bytes.as_chunks::<4>();
                let floats: Vec<f32> = floats.iter().copied().map(f32::from_le_bytes).collect();
                if !rest.is_empty() || floats.iter().any(|number| !number.is_finite()) {
                    return Err(Broken::Garbage("an embedding in base64 that is no list of numbers".to_owned()));
                }
                serde_json::to_string(&floats).map_err(|error| Broken::Garbage(error.to_string()))
            }
        }
    }

    /// As a JSON string in base64.
    fn base64(&self) -> Result<String, Broken> {
        match self {
            Vector::Base64(text) => Ok(format!("\"{text}\"")),
            Vector::Numbers(numbers) => {
                let floats: Vec<f32> = serde_json::from_str(numbers).map_err(|error| Broken::Garbage(format!("an embedding: {error}")))?;
                let bytes: Vec<u8> = floats.into_iter().flat_map(f32::to_le_bytes).collect();
                Ok(format!("\"{}\"", BASE64.encode(&bytes)))
            }
        }
    }
}

/// Gemini's vector in an answer.
#[derive(Deserialize)]
struct Values<'a> {
    #[serde(borrow)]
    values: &'a RawValue,
}

#[cfg(test)]
mod tests;
