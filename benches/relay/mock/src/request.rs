//! Reads requests from a connection: as much of HTTP/1.1 as a relay speaks to its upstreams, and nothing that costs time.

use memchr::memmem;
use std::io::{Error, ErrorKind, Result};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// What is asked for.
pub enum Wanted {
    /// A completion.
    Chat,
    /// A streamed completion.
    Stream,
    /// The counters.
    Stats,
    /// Something this upstream does not have.
    Unknown,
}

/// The reading side of one connection.
#[derive(Default)]
pub struct Reader {
    buffer: Vec<u8>,
    body: Vec<u8>,
}

struct Head {
    length: usize,
    body: Body,
    path: Path,
}

enum Body {
    Sized(usize),
    Chunked,
}

#[derive(PartialEq)]
enum Path {
    Chat,
    Stats,
    Unknown,
}

impl Reader {
    /// The next request; none when the caller has gone.
    pub async fn next(&mut self, socket: &mut TcpStream) -> Result<Option<Wanted>> {
        let Some(head) = self.head(socket).await? else { return Ok(None) };
        self.buffer.drain(..head.length);
        self.body.clear();
        match head.body {
            Body::Sized(length) => self.take(socket, length).await?,
            Body::Chunked => self.chunks(socket).await?,
        }
        Ok(Some(match head.path {
            Path::Stats => Wanted::Stats,
            Path::Unknown => Wanted::Unknown,
            Path::Chat if wants_stream(&self.body) => Wanted::Stream,
            Path::Chat => Wanted::Chat,
        }))
    }

    async fn head(&mut self, socket: &mut TcpStream) -> Result<Option<Head>> {
        loop {
            if let Some(head) = parse(&self.buffer)? {
                return Ok(Some(head));
            }
            if socket.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// Moves `length` bytes from the connection to the body.
    async fn take(&mut self, socket: &mut TcpStream, length: usize) -> Result<()> {
        while self.buffer.len() < length {
            self.more(socket).await?;
        }
        self.body.extend(self.buffer.drain(..length));
        Ok(())
    }

    async fn chunks(&mut self, socket: &mut TcpStream) -> Result<()> {
        loop {
            let line = loop {
                match memmem::find(&self.buffer, b"\r\n") {
                    Some(end) => break end,
                    None => self.more(socket).await?,
                }
            };
            let size = std::str::from_utf8(&self.buffer[..line]).ok().and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
            let size = size.ok_or(ErrorKind::InvalidData)?;
            self.buffer.drain(..line + 2);
            self.take(socket, size).await?;
            while self.buffer.len() < 2 {
                self.more(socket).await?;
            }
            self.buffer.drain(..2);
            if size == 0 {
                return Ok(());
            }
        }
    }

    async fn more(&mut self, socket: &mut TcpStream) -> Result<()> {
        if socket.read_buf(&mut self.buffer).await? == 0 { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }
}

fn parse(bytes: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes).map_err(Error::other)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    let mut body = Body::Sized(0);
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let text = std::str::from_utf8(header.value).map_err(Error::other)?;
            body = Body::Sized(text.trim().parse().map_err(Error::other)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            body = Body::Chunked;
        }
    }
    let path = match request.path.unwrap_or_default() {
        path if path.ends_with("/chat/completions") => Path::Chat,
        "/stats" => Path::Stats,
        _ => Path::Unknown,
    };
    Ok(Some(Head { length, body, path }))
}

/// Whether the body has `"stream": true`. No parser: whatever else the mock did would be time that the relay did not take.
fn wants_stream(body: &[u8]) -> bool {
    memmem::find_iter(body, b"\"stream\"").any(|at| {
        let rest = body[at + 8..].trim_ascii_start();
        rest.strip_prefix(b":").is_some_and(|value| value.trim_ascii_start().starts_with(b"true"))
    })
}
