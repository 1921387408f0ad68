//! Accepts connections and serves HTTP/1.1 on them until the upstream is stopped.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// A mark on a response: close the connection instead of sending it. Also the error that makes the server do so.
#[derive(Clone, Debug, thiserror::Error)]
#[error("hung up on purpose")]
pub(super) struct HangUp;

/// Runs until `closing`; then the port is closed and the connections are dropped.
pub(super) async fn run(listener: TcpListener, router: Router, closing: CancellationToken) {
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
    let service = service_fn(move |request: hyper::Request<Incoming>| respond(router.clone(), request.map(Body::new)));
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
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
