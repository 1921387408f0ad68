//! `POST /v1/images/generations` and `/v1/images/edits`: a real little PNG for each picture. Models with `dall-e` in their name answer with
//! addresses and without usage; all others as gpt-image does: base64, usage in tokens, and partial pictures in a stream.

use super::super::call::Task;
use super::super::job::{Job, Reply};
use super::super::prompt::{self, Prompt, Refused, Unit};
use super::super::script::Frame;
use super::super::usage::Usage;
use super::super::{media, multipart};
use super::{blocked, typed_sse};
use data_encoding::BASE64;
use serde_json::{Value, json};

/// What a partial picture costs on top.
const PARTIAL_TOKENS: u64 = 100;

/// Reads a request, whether it came as JSON or as a form.
pub fn parse(task: Task, body: &Value) -> Result<Prompt, Refused> {
    let body = &multipart::as_json(body);
    let prompt = body["prompt"].as_str().filter(|text| !text.is_empty()).ok_or_else(|| Refused::new("prompt", "prompt: a text is required"))?;
    let pictures = if body["image"].is_null() { body["images"].as_array().map_or(0, Vec::len) } else { body["image"].as_array().map_or(1, Vec::len) } as u64;
    if task == Task::ImageEdits && pictures == 0 {
        return Err(Refused::new("image", "image: at least one picture is required"));
    }
    prompt::count(body, "partial_images", 0..=3)?;
    let unit = Unit { words: prompt.to_owned(), pictures, ..Unit::default() };
    let model = body["model"].as_str().unwrap_or("gpt-image-1").to_owned();
    Ok(Prompt {
        stream: prompt::flag(body, "stream")?,
        choices: prompt::count(body, "n", 1..=10)?.unwrap_or(1),
        tokens: unit.tokens(),
        units: vec![unit],
        ..Prompt::of_texts(model, &[prompt.to_owned()])
    })
}

/// Tokens of one picture by size and quality, as the price list of gpt-image-1 has them.
pub fn output_tokens(size: &str, quality: &str) -> u64 {
    let [low, medium, high] = match size {
        "1024x1536" => [408, 1584, 6240],
        "1536x1024" => [400, 1568, 6208],
        _ => [272, 1056, 4160],
    };
    match quality {
        "low" => low,
        "high" => high,
        _ => medium,
    }
}

/// What is handed over.
pub fn reply(job: &Job<'_>) -> Reply {
    if job.switches.blocked {
        return Reply::refused(400, &blocked());
    }
    let body = multipart::as_json(job.body);
    if job.prompt.model.contains("dall-e") {
        return dall_e(job, &body);
    }
    let order = Order::of(&body);
    let partial = if job.prompt.stream { body["partial_images"].as_u64().unwrap_or(0) } else { 0 };
    let produced = output_tokens(order.size, order.quality) * job.prompt.choices + PARTIAL_TOKENS * partial;
    let usage = job.told(Usage { completion: produced as i64, image_out: produced as i64, ..job.input_only() });
    let pictures: Vec<String> = (0..job.prompt.choices).map(|nth| picture(job.question, nth)).collect();
    if job.prompt.stream {
        return Reply::events(frames(job, &order, &pictures, partial, usage), usage);
    }
    let data: Vec<Value> = pictures.iter().map(|picture| json!({"b64_json": picture})).collect();
    let mut out = json!({"created": job.created, "data": data});
    order.describe(&mut out);
    if let Some(usage) = usage {
        out["usage"] = usage_object(usage);
    }
    Reply::json(&out, "", produced, usage)
}

/// What the picture shall be like.
struct Order<'a> {
    size: &'a str,
    quality: &'a str,
    background: &'a str,
    format: &'a str,
}

impl<'a> Order<'a> {
    fn of(body: &'a Value) -> Self {
        let choice = |name: &str, usual: &'static str| body[name].as_str().filter(|value| *value != "auto").unwrap_or(usual);
        Self {
            size: choice("size", "1024x1024"),
            quality: choice("quality", "medium"),
            background: choice("background", "opaque"),
            format: choice("output_format", "png"),
        }
    }

    fn describe(&self, out: &mut Value) {
        out["size"] = json!(self.size);
        out["quality"] = json!(self.quality);
        out["background"] = json!(self.background);
        out["output_format"] = json!(self.format);
    }
}

fn picture(prompt: &str, number: u64) -> String {
    BASE64.encode(&media::png(prompt, number))
}

fn usage_object(usage: Usage) -> Value {
    json!({
        "total_tokens": usage.total(),
        "input_tokens": usage.prompt,
        "output_tokens": usage.completion,
        "input_tokens_details": {"text_tokens": usage.prompt - usage.image_in, "image_tokens": usage.image_in},
        "output_tokens_details": {"image_tokens": usage.completion, "text_tokens": 0},
    })
}

fn dall_e(job: &Job<'_>, body: &Value) -> Reply {
    let packed = body["response_format"] == "b64_json";
    let one = |nth: u64| {
        if packed { json!({"b64_json": picture(job.question, nth)}) } else { json!({"url": format!("https://pictures.example/{}-{nth}.png", job.number)}) }
    };
    let data: Vec<Value> = (0..job.prompt.choices).map(one).collect();
    Reply::json(&json!({"created": job.created, "data": data}), "", 0, None)
}

fn frames(job: &Job<'_>, order: &Order<'_>, pictures: &[String], partial: u64, usage: Option<Usage>) -> Vec<Frame> {
    let verb = if job.call.task == Task::ImageEdits { "image_edit" } else { "image_generation" };
    let event = |kind: &str, picture: &str| {
        let mut event = json!({"type": format!("{verb}.{kind}"), "b64_json": picture, "created_at": job.created});
        order.describe(&mut event);
        event
    };
    let mut frames = Vec::new();
    for nth in 0..partial {
        let mut event = event("partial_image", &picture(job.question, 1000 + nth));
        event["partial_image_index"] = json!(nth);
        frames.push(Frame::content(typed_sse(&event), "", PARTIAL_TOKENS));
    }
    for (nth, picture) in pictures.iter().enumerate() {
        let mut event = event("completed", picture);
        if let Some(usage) = usage.filter(|_| nth + 1 == pictures.len()) {
            event["usage"] = usage_object(usage);
        }
        frames.push(Frame::content(typed_sse(&event), "", output_tokens(order.size, order.quality)));
    }
    frames
}
