//! From OpenAI: a caller's request for a Gemini upstream, and an upstream's answer for a Gemini caller.

use super::super::canonical::{Broken, Unfit};
use super::super::fields::Fields;
use super::Vector;
use crate::relay::report::{self, Form, UsageReport};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// What an OpenAI caller wants.
pub(super) struct Wanted {
    /// The texts.
    pub(super) texts: Vec<String>,
    /// Vectors in base64.
    pub(super) base64: bool,
    dimensions: Option<u64>,
    task: Option<String>,
}

impl Wanted {
    /// Reads a request.
    ///
    /// # Errors
    /// Names what is malformed or cannot be said.
    pub(super) fn read(body: &[u8]) -> Result<Self, Unfit> {
        let mut fields = Fields::body(body)?;
        fields.ignore(&["model", "user", "usage"]);
        let base64 = match fields.string("encoding_format")?.as_deref() {
            None | Some("float") => false,
            Some("base64") => true,
            Some(_) => return Err(fields.wrong("encoding_format", "'float' or 'base64'")),
        };
        let dimensions = fields.whole("dimensions")?;
        let task = fields.string("task_type")?;
        let texts = match fields.take("input") {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(items)) if !items.is_empty() => items.into_iter().enumerate().map(|(at, item)| one(item, at)).collect::<Result<_, _>>()?,
            _ => return Err(fields.wrong("input", "a text or a list of texts")),
        };
        fields.finish()?;
        Ok(Self { texts, base64, dimensions, task })
    }
}

fn one(item: Value, at: usize) -> Result<String, Unfit> {
    match item {
        Value::String(text) => Ok(text),
        // Tokens: only the model that they are of can read them.
        Value::Number(_) => Err(Unfit::inexpressible("input")),
        _ => Err(Unfit::inexpressible(format!("input[{at}]"))),
    }
}

/// Writes the request of an OpenAI caller as a batch for a Gemini upstream that calls the model `model`.
///
/// # Errors
/// Names what is malformed or cannot be said.
pub fn openai_to_gemini(body: &[u8], model: &str) -> Result<Vec<u8>, Unfit> {
    let wanted = Wanted::read(body)?;
    let model = if model.starts_with("models/") { model.to_owned() } else { format!("models/{model}") };
    let request = |text: String| {
        let mut out = Map::new();
        out.insert("model".to_owned(), model.clone().into());
        out.insert("content".to_owned(), json!({"parts": [{"text": text}]}));
        if let Some(task) = &wanted.task {
            out.insert("taskType".to_owned(), task.to_ascii_uppercase().into());
        }
        if let Some(dimensions) = wanted.dimensions {
            out.insert("outputDimensionality".to_owned(), dimensions.into());
        }
        Value::Object(out)
    };
    let requests: Vec<Value> = wanted.texts.iter().cloned().map(request).collect();
    Ok(json!({"requests": requests}).to_string().into_bytes())
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Vec<Datum<'a>>,
}

#[derive(Deserialize)]
struct Datum<'a> {
    #[serde(default)]
    index: u64,
    #[serde(borrow)]
    embedding: &'a RawValue,
}

/// Writes the answer of an OpenAI upstream for a Gemini caller; `is_batch` when that is what was asked.
///
/// # Errors
/// When the answer is none.
pub fn openai_answer_to_gemini(body: &[u8], is_batch: bool) -> Result<Vec<u8>, Broken> {
    let mut answer: Answer<'_> = serde_json::from_slice(body).map_err(|error| Broken::Garbage(format!("not embeddings: {error}")))?;
    answer.data.sort_by_key(|datum| datum.index);
    let vectors = answer.data.iter().map(|datum| Ok(format!(r#"{{"values":{}}}"#, Vector::read(datum.embedding)?.numbers()?)));
    let vectors = vectors.collect::<Result<Vec<_>, Broken>>()?;
    let vectors = match (is_batch, vectors.as_slice()) {
        (true, vectors) => format!(r#""embeddings":[{}]"#, vectors.join(",")),
        (false, [vector]) => format!(r#""embedding":{vector}"#),
        (false, vectors) => return Err(Broken::Garbage(format!("{} embeddings for one text", vectors.len()))),
    };
    let usage = match report::read_answer(Form::Embeddings, body) {
        UsageReport::Usage(usage) => format!(r#","usageMetadata":{{"promptTokenCount":{0},"totalTokenCount":{0}}}"#, usage.all_input()),
        UsageReport::Absent => String::new(),
        UsageReport::Absurd => return Err(Broken::AbsurdUsage),
    };
    Ok(format!("{{{vectors}{usage}}}").into_bytes())
}
