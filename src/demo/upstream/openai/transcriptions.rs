//! `POST /v1/audio/transcriptions` and `/v1/audio/translations`: words that the bytes of the sound decide, in all five formats and as
//! events. Models with `whisper` in their name report seconds, all others tokens.

use super::super::call::Task;
use super::super::job::{Job, Reply};
use super::super::prompt::{self, Prompt, Refused, Unit};
use super::super::script::Frame;
use super::super::tokens::{self, Piece};
use super::super::usage::Usage;
use super::super::words::{self, Dice};
use super::super::{media, multipart};
use super::sse;
use serde_json::{Value, json};

/// Tokens of a second of sound.
const TOKENS_A_SECOND: u64 = 10;

/// Reads a request. Switches can stand in the `prompt` of the form.
pub fn parse(task: Task, body: &Value) -> Result<Prompt, Refused> {
    if !body["file"].is_object() {
        return Err(Refused::new("file", "file: a sound file is required"));
    }
    let body = &multipart::as_json(body);
    let hint = body["prompt"].as_str().unwrap_or_default();
    let unit = Unit { words: hint.to_owned(), ..Unit::default() };
    let stream = task == Task::Transcriptions && prompt::flag(body, "stream")?;
    let model = prompt::model(body)?;
    let tokens = unit.tokens();
    Ok(Prompt { stream: stream && !model.contains("whisper"), tokens, units: vec![unit], ..Prompt::of_texts(model, &[hint.to_owned()]) })
}

/// What is handed over.
pub fn reply(job: &Job<'_>) -> Reply {
    let sound = job.files.iter().find(|file| file.field == "file").map(|file| file.bytes.clone()).unwrap_or_default();
    let seconds = media::seconds(&sound);
    let text = hear(&sound, job);
    let usage = usage(job, &text, seconds);
    let said: String = text.iter().map(|piece| piece.text.as_str()).collect();
    if job.prompt.stream {
        return Reply::events(frames(&text, &said, usage), usage);
    }
    let plain = |content_type, body: String| Reply::bytes(content_type, Frame::content(body, said.clone(), tokens::total(&text)), None);
    match job.body["response_format"].as_str().unwrap_or("json") {
        "text" => plain("text/plain; charset=utf-8", format!("{said}\n")),
        "srt" => plain("text/plain; charset=utf-8", format!("1\n00:00:00,000 --> {}\n{said}\n\n", stamp(seconds, ','))),
        "vtt" => plain("text/vtt; charset=utf-8", format!("WEBVTT\n\n00:00:00.000 --> {}\n{said}\n\n", stamp(seconds, '.'))),
        format => {
            let mut out = if format == "verbose_json" { verbose(job, &said, seconds) } else { json!({"text": said}) };
            if let Some(usage) = usage {
                out["usage"] = usage_object(usage);
            }
            Reply::json(&out, said.clone(), tokens::total(&text), usage)
        }
    }
}

/// The words in a sound; always English when it is translated.
fn hear(sound: &[u8], job: &Job<'_>) -> Vec<Piece> {
    let number = Dice::of(&String::from_utf8_lossy(sound), sound.len() as u64).roll();
    let language = if job.call.task == Task::Transcriptions && job.body["language"] == "zh" { "声音" } else { "" };
    words::speech(language, number, job.switches.tokens)
}

fn usage(job: &Job<'_>, text: &[Piece], seconds: u64) -> Option<Usage> {
    let by_time = job.switches.duration_usage || job.prompt.model.contains("whisper");
    let audio = (seconds * TOKENS_A_SECOND) as i64;
    let prompt = job.prompt.tokens as i64 + audio;
    let tokens = Usage { prompt, audio_in: audio, completion: tokens::total(text) as i64, ..Usage::default() };
    job.told(if by_time { Usage { seconds: seconds as i64, ..Usage::default() } } else { tokens })
}

fn usage_object(usage: Usage) -> Value {
    if usage.seconds > 0 {
        return json!({"type": "duration", "seconds": usage.seconds});
    }
    json!({
        "type": "tokens",
        "input_tokens": usage.prompt,
        "input_token_details": {"text_tokens": usage.prompt - usage.audio_in, "audio_tokens": usage.audio_in},
        "output_tokens": usage.completion,
        "total_tokens": usage.total(),
    })
}

fn stamp(seconds: u64, mark: char) -> String {
    format!("{:02}:{:02}:{:02}{mark}000", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn verbose(job: &Job<'_>, said: &str, seconds: u64) -> Value {
    let translated = job.call.task == Task::Translations;
    let language = if !translated && job.body["language"] == "zh" { "chinese" } else { "english" };
    let segment = json!({
        "id": 0, "seek": 0, "start": 0.0, "end": seconds as f64, "text": said, "tokens": [50364], "temperature": 0.0, "avg_logprob": -0.25,
        "compression_ratio": 1.2, "no_speech_prob": 0.01,
    });
    let mut out = json!({
        "task": if translated { "translate" } else { "transcribe" }, "language": language, "duration": seconds as f64, "text": said, "segments": [segment],
    });
    let wants_words = job.body["timestamp_granularities"].as_array().is_some_and(|list| list.iter().any(|one| one == "word"));
    if wants_words {
        let words: Vec<&str> = said.split_whitespace().collect();
        let step = seconds as f64 / words.len().max(1) as f64;
        let word = |(nth, word): (usize, &&str)| json!({"word": word, "start": nth as f64 * step, "end": (nth + 1) as f64 * step});
        out["words"] = words.iter().enumerate().map(word).collect();
    }
    out
}

fn frames(text: &[Piece], said: &str, usage: Option<Usage>) -> Vec<Frame> {
    let delta = |piece: &Piece| sse(&json!({"type": "transcript.text.delta", "delta": piece.text}));
    let mut frames: Vec<Frame> = text.iter().map(|piece| Frame::content(delta(piece), piece.text.clone(), piece.tokens)).collect();
    let mut done = json!({"type": "transcript.text.done", "text": said});
    if let Some(usage) = usage {
        done["usage"] = usage_object(usage);
    }
    frames.push(Frame::tail(sse(&done)));
    frames
}
