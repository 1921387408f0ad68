//! What Azure does in its own way: errors, and the results of its content filter around every answer.
//!
//! Sources: the Azure OpenAI REST reference and its pages on content filtering and content streaming.

use super::super::call::Dialect;
use super::super::job::Job;
use serde_json::{Value, json};

/// Whether answers carry filter results.
pub fn applies(job: &Job<'_>) -> bool {
    job.call.dialect == Dialect::Azure || job.switches.azure_chunks
}

/// What the filter found in a text that is fine.
pub fn fine() -> Value {
    let safe = json!({"filtered": false, "severity": "safe"});
    json!({"hate": safe, "self_harm": safe, "sexual": safe, "violence": safe})
}

/// What the filter found in a text that it stopped.
pub fn stopped() -> Value {
    let mut results = fine();
    results["violence"] = json!({"filtered": true, "severity": "high"});
    results
}

/// What the filter found in the prompt.
pub fn prompt_results() -> Value {
    json!([{"prompt_index": 0, "content_filter_results": fine()}])
}

/// The chunk that opens a stream: no choices, and most fields empty.
pub fn first_chunk() -> Value {
    json!({"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": prompt_results()})
}

/// An error answer.
pub fn error(status: u16, model: &str, retry_after: Option<u64>) -> Value {
    let form = |code: &str, message: String| json!({"error": {"code": code, "message": message}});
    match status {
        401 => form("401", "Access denied due to invalid subscription key or wrong API endpoint. Check the key of resource upstream-resource.".into()),
        403 => form("403", "Access denied due to Virtual Network or firewall rules of upstream-resource.".into()),
        404 => form("DeploymentNotFound", format!("The API deployment {model} does not exist in upstream-resource.")),
        429 => {
            let seconds = retry_after.unwrap_or(1);
            form("429", format!("Requests to {model} have exceeded the call rate limit of your pricing tier. Please retry after {seconds} seconds."))
        }
        500 => form("InternalServerError", "Backend returned unexpected response. Please contact Microsoft for help.".into()),
        503 => form("ServiceUnavailable", "The service is temporarily unable to process your request. Please try again later.".into()),
        _ => super::error(status, model),
    }
}

/// The answer to a path that does not exist, which a path without `api-version` does not.
pub fn not_found() -> Value {
    json!({"error": {"code": "404", "message": "Resource not found"}})
}

/// The answer to a prompt that the filter stopped.
pub fn blocked() -> Value {
    let mut results = stopped();
    results["jailbreak"] = json!({"filtered": false, "detected": false});
    json!({"error": {
        "message": "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
        "type": null,
        "param": "prompt",
        "code": "content_filter",
        "status": 400,
        "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": results},
    }})
}
