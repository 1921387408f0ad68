//! `POST /v1/rerank` (Jina's shape) and `/v2/rerank` (Cohere's): documents by how many words they share with the query.

use super::super::call::Task;
use super::super::job::{Job, Reply};
use super::super::prompt::{self, Prompt, Refused};
use super::super::usage::Usage;
use super::super::words::name;
use serde_json::{Value, json};
use std::collections::HashSet;

/// Documents that one unit of Cohere's search pays for.
const DOCUMENTS_A_UNIT: usize = 100;

/// Reads a request. The tokens are those of the query and of all documents.
pub fn parse(body: &Value) -> Result<Prompt, Refused> {
    let query = body["query"].as_str().ok_or_else(|| Refused::new("query", "query: a text is required"))?.to_owned();
    let documents = documents(body);
    if documents.is_empty() {
        return Err(Refused::new("documents", "documents: at least one document is required"));
    }
    let texts: Vec<String> = documents.into_iter().chain([query]).collect();
    Ok(Prompt::of_texts(prompt::model(body)?, &texts))
}

fn documents(body: &Value) -> Vec<String> {
    let text = |document: &Value| document.as_str().or(document["text"].as_str()).unwrap_or_default().to_owned();
    body["documents"].as_array().into_iter().flatten().map(text).collect()
}

/// What is handed over.
pub fn reply(job: &Job<'_>) -> Reply {
    let documents = documents(job.body);
    let query = words(job.question);
    let mut ranked: Vec<(usize, f64)> = documents.iter().enumerate().map(|(index, text)| (index, score(&query, text))).collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    ranked.truncate(job.body["top_n"].as_u64().map_or(usize::MAX, |n| n as usize));
    let cohere = job.call.task == Task::RerankV2;
    let row = |&(index, score): &(usize, f64)| {
        let mut row = json!({"index": index, "relevance_score": score});
        if !cohere && job.body["return_documents"] != false {
            row["document"] = json!({"text": documents[index]});
        }
        row
    };
    let results: Vec<Value> = ranked.iter().map(row).collect();
    let usage = job.told(Usage { prompt: job.prompt.tokens as i64, ..Usage::default() });
    let mut out = json!({"results": results});
    if cohere {
        out["id"] = json!(name("", &job.prompt.model, job.number));
        out["meta"] = json!({"api_version": {"version": "2"}});
        if usage.is_some() {
            out["meta"]["billed_units"] = json!({"search_units": documents.len().div_ceil(DOCUMENTS_A_UNIT)});
        }
    } else {
        out["model"] = json!(job.prompt.model);
        out["object"] = json!("list");
        if let Some(usage) = usage {
            out["usage"] = json!({"total_tokens": usage.prompt, "prompt_tokens": usage.prompt});
        }
    }
    Reply::json(&out, "", 0, usage)
}

fn words(text: &str) -> HashSet<String> {
    text.to_lowercase().split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// Of all different words in the query and the document, the part that both have.
fn score(query: &HashSet<String>, document: &str) -> f64 {
    let document = words(document);
    let both = query.intersection(&document).count() as f64;
    let all = query.union(&document).count().max(1) as f64;
    (both / all * 1e6).round() / 1e6
}
