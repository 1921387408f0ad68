//! The listener: accepts, serves, and goes down without losing a request.

use super::patient::Patient;
use super::{App, Running, Started};
use crate::router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// How long a client may take to send a request's head.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long to wait after an accept that failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A shop that serves.
pub struct Server {
    /// What handlers reach.
    pub app: App,
    /// Where it serves.
    pub address: SocketAddr,
    accepting: JoinHandle<GracefulShutdown>,
    stop_accepting: CancellationToken,
    abort: CancellationToken,
    /// One task for each connection.
    connections: TaskTracker,
    running: Running,
}

impl Server {
    /// Begins to serve on `listener`.
    ///
    /// # Errors
    /// When the listener has no address.
    pub fn serve(started: Started, listener: TcpListener) -> std::io::Result<Self> {
        let Started { app, running } = started;
        let address = listener.local_addr()?;
        let (stop_accepting, abort) = (CancellationToken::new(), CancellationToken::new());
        let connections = TaskTracker::new();
        let door = Door { router: router::build(app.clone()), abort: abort.clone(), patience: app.config.upstream.idle };
        let accepting = tokio::spawn(accept(listener, door, stop_accepting.clone(), connections.clone()));
        Ok(Self { app, address, accepting, stop_accepting, abort, connections, running })
    }

    /// Stops accepting, lets requests end up to the drain limit, breaks off the rest, settles everything, stops.
    pub async fn shutdown(self) {
        self.app.draining.store(true, Ordering::Release);
        let drain = self.app.config.drain;
        self.stop_accepting.cancel();
        if let Ok(connections) = self.accepting.await
            && tokio::time::timeout(drain, connections.shutdown()).await.is_err()
        {
            tracing::warn!(seconds = drain.as_secs(), "requests were still running at the end of the drain; they are broken off and settled");
        }
        self.abort.cancel();
        // What was broken off must have handed over its settlement before those are waited for.
        self.connections.close();
        self.connections.wait().await;
        self.running.stop(&self.app).await;
    }
}

/// What every connection is served with.
struct Door {
    router: axum::Router,
    abort: CancellationToken,
    /// How long a client may take nothing of what is sent to it.
    patience: Duration,
}

async fn accept(listener: TcpListener, door: Door, stop: CancellationToken, tasks: TaskTracker) -> GracefulShutdown {
    let connections = GracefulShutdown::new();
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    server.http2().timer(TokioTimer::new()).keep_alive_interval(Some(HEAD_TIMEOUT));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return connections,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Too many open files, mostly: others end and the next try succeeds.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        tasks.spawn(serve_connection(&server, &connections, stream, peer, &door));
    }
}

fn serve_connection(
    server: &auto::Builder<TokioExecutor>,
    connections: &GracefulShutdown,
    stream: TcpStream,
    peer: SocketAddr,
    door: &Door,
) -> impl Future<Output = ()> + Send + use<> {
    // Otherwise every event of a stream waits for the client's acknowledgement of the last one: 40 ms.
    let _ = stream.set_nodelay(true);
    let (router, abort, stream) = (door.router.clone(), door.abort.clone(), Patient::new(stream, door.patience));
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let connection = server.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    let connection = connections.watch(connection);
    async move {
        tokio::select! {
            // An error here is a client that went away in the middle of something.
            _ = connection => {}
            () = abort.cancelled() => {}
        }
    }
}
