//! Accepts connections and serves HTTP/1.1 on them until the upstream is stopped.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// A mark on a response: close the connection instead of sending it. Also the error that makes the server do so.
#[derive(Clone, Debug, thiserror::Error)]
#[error("hung up on purpose")]
pub(in crate::demo) struct HangUp;

/// A handle on the connection that a request came by.
#[derive(Clone, Debug, Default)]
pub(super) struct Line(Arc<AtomicBool>);

impl Line {
    /// Makes the end of the connection a reset, whatever ends it.
    pub fn reset(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A connection that resets itself when its line says so.
struct Wire {
    stream: TcpStream,
    line: Line,
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.line.0.load(Ordering::SeqCst) {
            let _ = self.stream.set_zero_linger(); // on failure the end is a clean one
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        if self.line.0.load(Ordering::SeqCst) {
            return Poll::Ready(Ok(())); // a clean end would come before the reset
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Runs until `closing`; then the port is closed and the connections are dropped.
pub(in crate::demo) async fn run(listener: TcpListener, router: Router, closing: CancellationToken) {
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = closing.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => _ = connections.spawn(serve(stream, router.clone(), closing.clone())),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await, // out of file handles: some will come back
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn serve(stream: TcpStream, router: Router, closing: CancellationToken) {
    let _ = stream.set_nodelay(true); // on failure an event only leaves later
    let line = Line::default();
    let wire = Wire { stream, line: line.clone() };
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(line.clone());
        respond(router.clone(), request.map(Body::new))
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(wire), service);
    tokio::select! {
        _ = connection => {} // a caller that goes away is noted in the log by the answer it leaves behind
        () = closing.cancelled() => {}
    }
}

async fn respond(router: Router, request: Request) -> Result<Response, HangUp> {
    let Ok(response) = router.oneshot(request).await;
    match response.extensions().get::<HangUp>() {
        Some(hang_up) => Err(hang_up.clone()),
        None => Ok(response),
    }
}
