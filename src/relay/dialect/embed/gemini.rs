//! From Gemini: a caller's request for an OpenAI upstream, and an upstream's answer for an OpenAI caller.

use super::super::canonical::{Broken, Unfit};
use super::super::fields::Fields;
use super::super::gemini::camel_names;
use super::openai::Wanted;
use super::{Values, Vector};
use crate::relay::report::{self, Form, UsageReport};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Hints, and what stands in the address.
const IGNORED: [&str; 5] = ["model", "taskType", "autoTruncate", "usage", "embedContentConfig"];

/// Writes the request of a Gemini caller, single or batch, for an OpenAI upstream that calls the model `model`.
///
/// # Errors
/// Names what is malformed or cannot be said.
pub fn gemini_to_openai(body: &[u8], model: &str) -> Result<Vec<u8>, Unfit> {
    let value: Value = serde_json::from_slice(body).map_err(|error| Unfit::new("", format!("The body is not valid JSON: {error}.")))?;
    let mut fields = Fields::of(String::new(), camel_names(value))?;
    let mut dimensions = None;
    let input = match fields.array("requests")? {
        Some(requests) => {
            fields.ignore(&IGNORED);
            let mut texts = Vec::with_capacity(requests.len());
            for (at, request) in requests.into_iter().enumerate() {
                let mut request = Fields::of(format!("requests[{at}]"), request)?;
                let wanted = request.whole("outputDimensionality")?;
                if at > 0 && wanted != dimensions {
                    return Err(Unfit::new(request.path("outputDimensionality"), "All requests of a batch must ask for the same 'outputDimensionality'."));
                }
                dimensions = wanted;
                texts.push(Value::String(text(request)?));
            }
            fields.finish()?;
            if texts.is_empty() {
                return Err(Unfit::new("requests", "'requests' must not be empty."));
            }
            Value::Array(texts)
        }
        None => {
            dimensions = fields.whole("outputDimensionality")?;
            Value::String(text(fields)?)
        }
    };
    let mut out = Map::new();
    out.insert("model".to_owned(), model.into());
    out.insert("input".to_owned(), input);
    if let Some(dimensions) = dimensions {
        out.insert("dimensions".to_owned(), dimensions.into());
    }
    out.insert("encoding_format".to_owned(), "float".into());
    Ok(Value::Object(out).to_string().into_bytes())
}

/// The text of one request.
fn text(mut request: Fields) -> Result<String, Unfit> {
    request.ignore(&IGNORED);
    let content = request.object("content")?;
    let mut content = request.must("content", content)?;
    content.ignore(&["role"]);
    let mut texts = Vec::new();
    for mut part in content.objects("parts")? {
        let text = part.string("text")?;
        part.must("text", text.clone()).map_err(|missing| if text.is_none() { Unfit::inexpressible(missing.field) } else { missing })?;
        texts.extend(text);
        part.finish()?;
    }
    content.finish()?;
    request.finish()?;
    Ok(texts.join("\n"))
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    embedding: Option<Values<'a>>,
    #[serde(borrow, default)]
    embeddings: Option<Vec<Values<'a>>>,
}

/// Writes the answer of a Gemini upstream for the OpenAI caller who sent `request`. `model` is the public name.
///
/// # Errors
/// When the answer is none, or has another number of vectors than texts were sent.
pub fn gemini_answer_to_openai(body: &[u8], request: &[u8], model: &str) -> Result<Vec<u8>, Broken> {
    let answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| Broken::Garbage(format!("not embeddings: {error}")))?;
    let vectors = answer.embeddings.unwrap_or_else(|| answer.embedding.into_iter().collect());
    let wanted = Wanted::read(request).map_err(|unfit| Broken::Garbage(unfit.to_string()))?;
    if vectors.len() != wanted.texts.len() {
        return Err(Broken::Garbage(format!("{} embeddings for {} texts", vectors.len(), wanted.texts.len())));
    }
    let mut out = String::from(r#"{"object":"list","data":["#);
    for (at, vector) in vectors.iter().enumerate() {
        let vector = Vector::read(vector.values)?;
        let vector = if wanted.base64 { vector.base64()? } else { vector.numbers()? };
        let comma = if at > 0 { "," } else { "" };
        out.push_str(&format!(r#"{comma}{{"object":"embedding","index":{at},"embedding":{vector}}}"#));
    }
    let read = match report::read_answer(Form::Gemini, body) {
        UsageReport::Usage(usage) => usage.all_input(),
        UsageReport::Absent => 0,
        UsageReport::Absurd => return Err(Broken::AbsurdUsage),
    };
    out.push_str(&format!(r#"],"model":{}"#, json!(model)));
    out.push_str(&end(read));
    Ok(out.into_bytes())
}

/// How an answer to an OpenAI caller ends.
fn end(read: u64) -> String {
    format!(r#","usage":{}}}"#, json!({"prompt_tokens": read, "total_tokens": read}))
}

/// The answer with the tokens that were counted here, when the upstream told none, as Gemini usually does; none when it is no such answer.
pub fn with_counted(answer: &[u8], read: u64) -> Option<Vec<u8>> {
    let begin = answer.strip_suffix(end(0).as_bytes())?;
    Some([begin, end(read).as_bytes()].concat())
}
