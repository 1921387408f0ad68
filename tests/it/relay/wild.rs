//! An upstream that keeps no rules: it answers every request with the bytes that the test wrote down.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// One step of an answer.
#[derive(Clone)]
pub enum Step {
    /// Sends bytes.
    Send(Vec<u8>),
    /// Sends the same bytes so many times, or until the caller leaves.
    Repeat(Vec<u8>, usize),
    /// Says nothing for a while.
    Wait(Duration),
    /// Says nothing more until the caller leaves.
    Hang,
}

/// The running upstream; it ends with the test's runtime.
pub struct Wild {
    pub base_url: String,
    asked: Arc<AtomicU64>,
    left: Arc<AtomicU64>,
}

impl Wild {
    /// Answers every request so, then closes the connection.
    pub async fn start(steps: Vec<Step>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base_url = format!("http://{}", listener.local_addr().expect("an address"));
        let wild = Self { base_url, asked: Arc::default(), left: Arc::default() };
        let (asked, left) = (Arc::clone(&wild.asked), Arc::clone(&wild.left));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (steps, asked, left) = (steps.clone(), Arc::clone(&asked), Arc::clone(&left));
                tokio::spawn(async move {
                    if serve(stream, steps, &asked).await.is_none() {
                        left.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        wild
    }

    /// How many requests came.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::SeqCst)
    }

    /// How many callers went away before the answer's end.
    pub fn left(&self) -> u64 {
        self.left.load(Ordering::SeqCst)
    }
}

/// None when the caller went away.
async fn serve(mut stream: TcpStream, steps: Vec<Step>, asked: &AtomicU64) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut request = Vec::new();
    let mut buffer = [0u8; 16 * 1024];
    while !is_whole(&request) {
        match stream.read(&mut buffer).await.ok()? {
            0 => return Some(()),
            n => request.extend_from_slice(&buffer[..n]),
        }
    }
    asked.fetch_add(1, Ordering::SeqCst);
    for step in steps {
        match step {
            Step::Send(bytes) => stream.write_all(&bytes).await.ok()?,
            Step::Repeat(bytes, times) => {
                for _ in 0..times {
                    stream.write_all(&bytes).await.ok()?;
                }
            }
            Step::Wait(pause) => tokio::time::sleep(pause).await,
            Step::Hang => {
                while stream.read(&mut buffer).await.ok()? > 0 {}
                return None;
            }
        }
        stream.flush().await.ok()?;
    }
    stream.shutdown().await.ok()
}

fn is_whole(request: &[u8]) -> bool {
    let Some(head) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&request[..head]).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    request.len() >= head + 4 + length.unwrap_or(0)
}

/// The head of an answer that ends when the connection does.
pub fn head(status: &str, content_type: &str) -> Step {
    Step::Send(format!("HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n").into_bytes())
}

/// The head of a stream.
pub fn stream_head() -> Step {
    head("200 OK", "text/event-stream")
}

/// Sends a text.
pub fn send(text: impl Into<String>) -> Step {
    Step::Send(text.into().into_bytes())
}

/// An event with a chunk of words.
pub fn word(text: &str) -> String {
    format!("data: {}\n\n", serde_json::json!({"choices": [{"index": 0, "delta": {"content": text}}]}))
}

/// A usage event.
pub fn usage(prompt: i64, completion: i64) -> String {
    format!("data: {}\n\n", serde_json::json!({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}}))
}

/// The end of a good stream.
pub const DONE: &str = "data: [DONE]\n\n";
