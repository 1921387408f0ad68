//! `POST /v1/embeddings`: vectors of length one that the text alone decides, as numbers or as base64 of 32-bit floats.

use super::super::job::{Job, Reply};
use super::super::prompt::{self, Prompt, Refused};
use super::super::usage::Usage;
use super::super::words::Dice;
use super::completions::inputs;
use data_encoding::BASE64;
use serde_json::{Value, json};

/// How many numbers a vector has when nobody says.
const DIMENSIONS: u64 = 1536;

/// Reads a request.
pub fn parse(body: &Value) -> Result<Prompt, Refused> {
    prompt::count(body, "dimensions", 1..=8192)?;
    Ok(Prompt::of_texts(prompt::model(body)?, &inputs(&body["input"], "input")?))
}

/// What is handed over.
pub fn reply(job: &Job<'_>) -> Reply {
    let size = job.body["dimensions"].as_u64().unwrap_or(DIMENSIONS);
    let packed = job.body["encoding_format"] == "base64";
    let row = |(index, text): (usize, &String)| {
        let vector = vector(text, size);
        let embedding = if packed { json!(base64(&vector)) } else { json!(vector) };
        json!({"object": "embedding", "index": index, "embedding": embedding})
    };
    let texts: Vec<String> = job.prompt.units.iter().map(|unit| unit.words.clone()).collect();
    let mut out = json!({"object": "list", "data": texts.iter().enumerate().map(row).collect::<Vec<_>>(), "model": job.prompt.model});
    let usage = job.told(Usage { prompt: job.prompt.tokens as i64, ..Usage::default() });
    if let Some(usage) = usage {
        out["usage"] = json!({"prompt_tokens": usage.prompt, "total_tokens": usage.prompt});
    }
    Reply::json(&out, "", 0, usage)
}

/// The vector of a text.
pub fn vector(text: &str, size: u64) -> Vec<f32> {
    let mut dice = Dice::of(text, size);
    let raw: Vec<f32> = (0..size).map(|_| dice.below(2001) as f32 - 1000.0).collect();
    let length = raw.iter().map(|x| x * x).sum::<f32>().sqrt().max(1.0);
    raw.iter().map(|x| x / length).collect()
}

fn base64(vector: &[f32]) -> String {
    BASE64.encode(&vector.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())
}
