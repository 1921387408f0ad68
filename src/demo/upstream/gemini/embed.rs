//! `:embedContent` and `:batchEmbedContents`: the same vectors as OpenAI's path makes.

use super::super::job::{Job, Reply};
use super::super::openai::embeddings::vector;
use super::super::prompt::{Prompt, Refused};
use super::super::usage::Usage;
use super::{either, unit};
use serde_json::{Value, json};

/// How many numbers a vector has when nobody says.
const DIMENSIONS: u64 = 3072;

/// Reads one request, or the many of a batch.
pub fn parse(body: &Value) -> Result<Prompt, Refused> {
    let requests = body["requests"].as_array().map_or(std::slice::from_ref(body), Vec::as_slice);
    let texts: Vec<String> = requests.iter().filter(|request| request["content"]["parts"].is_array()).map(|request| unit(&request["content"]).words).collect();
    if texts.is_empty() || texts.len() < requests.len() {
        return Err(Refused::new("content", "* EmbedContentRequest.content: contents is not specified\n"));
    }
    Ok(Prompt::of_texts(super::super::prompt::model(body)?, &texts))
}

/// What is handed over for one.
pub fn one(job: &Job<'_>) -> Reply {
    answer(job, |embeddings| json!({"embedding": embeddings.first()}))
}

/// What is handed over for a batch.
pub fn many(job: &Job<'_>) -> Reply {
    answer(job, |embeddings| json!({"embeddings": embeddings}))
}

fn answer(job: &Job<'_>, shape: impl Fn(&[Value]) -> Value) -> Reply {
    let requests = job.body["requests"].as_array().map_or(std::slice::from_ref(job.body), Vec::as_slice);
    let size = |request: &Value| either(request, "outputDimensionality", "output_dimensionality").as_u64().unwrap_or(DIMENSIONS).clamp(1, 8192);
    let row = |(request, unit): (&Value, &super::super::prompt::Unit)| json!({"values": vector(&unit.words, size(request))});
    let embeddings: Vec<Value> = requests.iter().zip(&job.prompt.units).map(row).collect();
    let usage = job.told(Usage { prompt: job.prompt.tokens as i64, ..Usage::default() });
    let mut out = shape(&embeddings);
    if let Some(usage) = usage {
        out["usageMetadata"] = json!({"promptTokenCount": usage.prompt, "totalTokenCount": usage.prompt});
    }
    Reply::json(&out, "", 0, usage)
}
