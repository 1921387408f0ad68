//! Pictures and sound: JSON and forms, files, usage, streams.

use super::*;

/// A form with text fields and files under a name.
fn form(upstream: &Upstream, path: &str, fields: &[(&str, &str)], files: &[(&str, &[u8])]) -> RequestBuilder {
    let mut body = Vec::new();
    for (name, value) in fields {
        body.extend(format!("--b0undary\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").into_bytes());
    }
    for (name, bytes) in files {
        let head =
            format!("--b0undary\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"a.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n");
        body.extend([head.as_bytes(), bytes, b"\r\n"].concat());
    }
    body.extend(b"--b0undary--\r\n");
    client().post(upstream.base_url() + path).header("content-type", "multipart/form-data; boundary=b0undary").body(body)
}

fn decoded(picture: &Value) -> Vec<u8> {
    data_encoding::BASE64.decode(picture.as_str().unwrap().as_bytes()).unwrap()
}

#[tokio::test]
async fn pictures_are_files_and_cost_by_size_and_quality() {
    let upstream = upstream().await;
    let body = json!({"model": "gpt-image-1", "prompt": "a cat", "n": 2, "size": "1536x1024", "quality": "high"});
    let answer = value(post(&upstream, "/v1/images/generations", &body)).await;
    let pictures: Vec<Vec<u8>> = answer["data"].as_array().unwrap().iter().map(|one| decoded(&one["b64_json"])).collect();
    assert!(pictures.len() == 2 && pictures[0] != pictures[1]);
    assert!(pictures.iter().all(|png| png.starts_with(b"\x89PNG\r\n\x1a\n") && png.ends_with(b"IEND\xae\x42\x60\x82")));
    assert_eq!((&answer["usage"]["output_tokens"], &answer["usage"]["input_tokens"]), (&json!(2 * 6208), &json!(count_tokens("a cat"))));
    let older = value(post(&upstream, "/v1/images/generations", &json!({"model": "dall-e-3", "prompt": "a cat"}))).await;
    assert!(older["data"][0]["url"].is_string() && older.get("usage").is_none());
}

#[tokio::test]
async fn pictures_are_edited_from_forms_and_streamed_in_parts() {
    let upstream = upstream().await;
    let fields = [("model", "gpt-image-1"), ("prompt", "a dog"), ("n", "1"), ("quality", "low"), ("stream", "true"), ("partial_images", "2")];
    let events = stream(form(&upstream, "/v1/images/edits", &fields, &[("image[]", b"one"), ("image[]", b"t\r\nwo")])).await;
    assert_eq!(kinds(&events), ["image_edit.partial_image", "image_edit.completed"]);
    let usage = &events[2]["usage"];
    assert_eq!((&usage["input_tokens_details"]["image_tokens"], &usage["output_tokens"]), (&json!(170), &json!(272 + 200)));
    let served = outcome(&upstream).await;
    assert_eq!((served.model(), &served.body["image"][1]["bytes"], &served.body["prompt"]), ("gpt-image-1", &json!(5), &json!("a dog")));
    let bare = form(&upstream, "/v1/images/edits", &fields, &[]).send().await.unwrap();
    assert_eq!((bare.status().as_u16(), &bare.json::<Value>().await.unwrap()["error"]["param"]), (400, &json!("image")));
}

#[tokio::test]
async fn speech_is_as_long_as_its_text_in_files_and_in_events() {
    let upstream = upstream().await;
    let ask = |more: Value| post(&upstream, "/v1/audio/speech", &with(json!({"model": "tts-1", "voice": "alloy", "input": "Hello there, dear friend"}), more));
    let wav = ask(json!({"response_format": "wav"})).send().await.unwrap();
    assert_eq!(wav.headers()["content-type"], "audio/wav");
    let wav = wav.bytes().await.unwrap();
    assert!(wav.starts_with(b"RIFF") && wav.len() as u64 == 44 + 48 * 60 * count_tokens("Hello there, dear friend"));
    let mp3 = ask(json!({})).send().await.unwrap();
    assert_eq!(mp3.headers()["content-type"], "audio/mpeg");
    let mp3 = mp3.bytes().await.unwrap();
    assert!(mp3.starts_with(&[0xff, 0xfb]));
    let events = stream(ask(json!({"stream_format": "sse"}))).await;
    let pieces = events.iter().filter(|event| event["type"] == "speech.audio.delta").flat_map(|event| decoded(&event["audio"]));
    assert_eq!(pieces.collect::<Vec<u8>>(), mp3);
    let tokens = count_tokens("Hello there, dear friend");
    assert_eq!(events.last().unwrap()["usage"], json!({"input_tokens": tokens, "output_tokens": tokens * 10, "total_tokens": tokens * 11}));
}

#[tokio::test]
async fn transcriptions_come_in_all_formats_with_both_kinds_of_usage() {
    let upstream = upstream().await;
    let speech = json!({"model": "tts-1", "voice": "alloy", "input": "word ".repeat(40), "response_format": "wav"});
    let sound = post(&upstream, "/v1/audio/speech", &speech).send().await.unwrap().bytes().await.unwrap();
    let path = "/v1/audio/transcriptions";
    let ask = |fields: &[(&str, &str)]| form(&upstream, path, fields, &[("file", &sound)]);
    let tokens = value(ask(&[("model", "gpt-4o-transcribe")])).await;
    let text = tokens["text"].as_str().unwrap().to_owned();
    let seconds = 3; // 40 or 41 words of 60 milliseconds
    assert_eq!((&tokens["usage"]["type"], &tokens["usage"]["input_tokens"]), (&json!("tokens"), &json!(seconds * 10)));
    assert_eq!((&tokens["usage"]["output_tokens"], &tokens["usage"]["input_token_details"]["audio_tokens"]), (&json!(count_tokens(&text)), &json!(30)));
    let verbose = value(ask(&[("model", "whisper-1"), ("response_format", "verbose_json"), ("timestamp_granularities[]", "word")])).await;
    assert_eq!((&verbose["usage"], &verbose["text"]), (&json!({"type": "duration", "seconds": seconds}), &json!(text)));
    assert_eq!(verbose["words"].as_array().unwrap().len(), text.split_whitespace().count());
    for (format, start) in [("text", text.as_str()), ("srt", "1\n00:00:00,000 --> 00:00:03,000\n"), ("vtt", "WEBVTT\n\n00:00:00.000 --> 00:00:03.000\n")] {
        let plain = ask(&[("model", "whisper-1"), ("response_format", format)]).send().await.unwrap().text().await.unwrap();
        assert!(plain.starts_with(start) && plain.contains(&text), "{plain}");
    }
    let events = stream(ask(&[("model", "gpt-4o-transcribe"), ("stream", "true")])).await;
    assert_eq!((texts(&events, "/delta"), &events.last().unwrap()["usage"]), (text, &tokens["usage"]));
    let translated = value(form(&upstream, "/v1/audio/translations", &[("model", "whisper-1")], &[("file", b"noise")])).await;
    assert!(!translated["text"].as_str().unwrap().is_empty());
    assert_eq!(form(&upstream, path, &[("model", "whisper-1")], &[]).send().await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_broken_form_is_refused() {
    let upstream = upstream().await;
    for body in ["", "--b0undary", "--b0undary\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nno end", "nothing of the kind"] {
        let request = client().post(upstream.base_url() + "/v1/audio/transcriptions").header("content-type", "multipart/form-data; boundary=b0undary");
        assert_eq!(request.body(body).send().await.unwrap().status(), 400, "{body}");
    }
}
