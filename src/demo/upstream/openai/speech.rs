//! `POST /v1/audio/speech`: sound as long as the text (60 milliseconds for each token), as a file or as events. WAV and PCM are a tone; all
//! other formats are silent MP3 frames under the type that was asked for.

use super::super::job::{Job, Reply};
use super::super::media;
use super::super::prompt::{self, Prompt, Refused};
use super::super::script::Frame;
use super::super::usage::Usage;
use super::sse;
use data_encoding::BASE64;
use serde_json::{Value, json};

/// How long a token takes to say.
const MILLISECONDS_A_TOKEN: u64 = 60;
/// The longest sound that is made.
const LONGEST_MS: u64 = 60_000;
/// How many bytes of sound an event carries.
const BYTES_AN_EVENT: usize = 4_800;

/// Reads a request.
pub fn parse(body: &Value) -> Result<Prompt, Refused> {
    let input = body["input"].as_str().filter(|text| !text.is_empty()).ok_or_else(|| Refused::new("input", "input: a text is required"))?;
    if body["voice"].is_null() {
        return Err(Refused::new("voice", "voice: a voice is required"));
    }
    Ok(Prompt { stream: body["stream_format"] == "sse", ..Prompt::of_texts(prompt::model(body)?, &[input.to_owned()]) })
}

/// What is handed over. A spoken token costs ten tokens of sound, and only the events can say so.
pub fn reply(job: &Job<'_>) -> Reply {
    let length = (job.prompt.tokens * MILLISECONDS_A_TOKEN).clamp(100, LONGEST_MS) as u32;
    let (content_type, sound) = match job.body["response_format"].as_str().unwrap_or("mp3") {
        "wav" => ("audio/wav", media::wav(length)),
        "pcm" => ("audio/pcm", media::pcm(length)),
        "opus" => ("audio/opus", media::mp3(length)),
        "aac" => ("audio/aac", media::mp3(length)),
        "flac" => ("audio/flac", media::mp3(length)),
        _ => ("audio/mpeg", media::mp3(length)),
    };
    let produced = job.prompt.tokens * 10;
    if !job.prompt.stream {
        return Reply::bytes(content_type, Frame::content(sound, "", produced), None);
    }
    let usage = job.told(Usage { completion: produced as i64, audio_out: produced as i64, ..job.input_only() });
    let piece = |bytes: &[u8]| sse(&json!({"type": "speech.audio.delta", "audio": BASE64.encode(bytes)}));
    let mut frames: Vec<Frame> = sound.chunks(BYTES_AN_EVENT).map(|bytes| Frame::content(piece(bytes), "", 0)).collect();
    let mut done = json!({"type": "speech.audio.done"});
    if let Some(usage) = usage {
        done["usage"] = json!({"input_tokens": usage.prompt, "output_tokens": usage.completion, "total_tokens": usage.total()});
    }
    frames.push(Frame::tail(sse(&done)));
    Reply::events(frames, usage)
}
