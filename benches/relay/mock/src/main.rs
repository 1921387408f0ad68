//! A fast upstream for the load harness: one thread, keep-alive, answers baked beforehand.
//!
//! `farebox-mock-upstream 127.0.0.1:9100` serves `POST .../chat/completions`, streamed or not, and `GET /stats`, which tells how
//! many it has served: the harness compares that with what callers received and with what the shop charged.

mod answers;
mod request;

use answers::{Answers, json};
use request::{Reader, Wanted};
use std::cell::Cell;
use std::rc::Rc;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task;

/// So many events are written before other connections get their turn.
const EVENTS_PER_TURN: usize = 8;

/// What was served so far.
#[derive(Default)]
struct Stats {
    /// Completions that were asked for. Once nobody is being answered, it is the sum of the next three.
    begun: Cell<u64>,
    chat: Cell<u64>,
    stream: Cell<u64>,
    /// Begun, and not finished because the caller went away.
    aborted: Cell<u64>,
    other: Cell<u64>,
}

impl Stats {
    /// One more; returns how many there are.
    fn count(counter: &Cell<u64>) -> u64 {
        counter.set(counter.get() + 1);
        counter.get()
    }

    fn to_json(&self) -> String {
        let [begun, chat, stream, aborted, other] = [&self.begun, &self.chat, &self.stream, &self.aborted, &self.other].map(Cell::get);
        format!(r#"{{"begun":{begun},"chat":{chat},"stream":{stream},"aborted":{aborted},"other":{other}}}"#)
    }
}

struct Upstream {
    answers: Answers,
    stats: Stats,
}

fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9100".to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    task::LocalSet::new().block_on(&runtime, serve(&address))
}

async fn serve(address: &str) -> std::io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    let upstream = Rc::new(Upstream { answers: Answers::bake(), stats: Stats::default() });
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let upstream = upstream.clone();
        // Whoever hangs up in the middle is counted there; there is nothing else to do about it.
        task::spawn_local(async move { converse(socket, &upstream).await });
    }
}

/// Answers one connection until the caller closes it.
async fn converse(mut socket: TcpStream, upstream: &Upstream) -> std::io::Result<()> {
    let (mut reader, mut out) = (Reader::default(), Vec::new());
    while let Some(wanted) = reader.next(&mut socket).await? {
        if let Err(error) = answer(wanted, &mut socket, upstream, &mut out).await {
            Stats::count(&upstream.stats.aborted);
            return Err(error);
        }
    }
    Ok(())
}

async fn answer(wanted: Wanted, socket: &mut TcpStream, upstream: &Upstream, out: &mut Vec<u8>) -> std::io::Result<()> {
    let (answers, stats) = (&upstream.answers, &upstream.stats);
    match wanted {
        Wanted::Chat => {
            answers.chat.copy(Stats::count(&stats.begun), out);
            socket.write_all(out).await?;
            Stats::count(&stats.chat);
        }
        Wanted::Stream => {
            let number = Stats::count(&stats.begun);
            for (at, part) in answers.stream.iter().enumerate() {
                part.copy(number, out);
                socket.write_all(out).await?;
                if at % EVENTS_PER_TURN == EVENTS_PER_TURN - 1 {
                    task::yield_now().await;
                }
            }
            Stats::count(&stats.stream);
        }
        Wanted::Stats => socket.write_all(&json(&stats.to_json())).await?,
        Wanted::Unknown => {
            socket.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n").await?;
            Stats::count(&stats.other);
        }
    }
    Ok(())
}
