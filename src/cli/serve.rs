//! `farebox serve`: the shop, until a signal ends it.

use super::{ServeArgs, block_on, misconfigured};
use crate::app::{self, Environment, Server};
use crate::config::{self, Config, PublicUrl};
use anyhow::Context;
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

pub(super) fn run(args: ServeArgs) -> ExitCode {
    let loaded = config::Environment::read().and_then(|environment| {
        let environment = match args.listen {
            Some(listen) => environment.with("LISTEN", listen.to_string()),
            None => environment,
        };
        Config::from_lookup(|name| environment.get(name))
    });
    match loaded {
        Ok(config) => {
            crate::telemetry::init(&config.log);
            block_on(config.worker_threads, serve(config))
        }
        Err(error) => misconfigured(&error),
    }
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let (listener, public_url) = bind(&config).await?;
    let started = app::start(config, public_url, Environment::production()).await?;
    if let Some(link) = started.app.accounts.offer_setup().await? {
        tracing::warn!("this shop has no owner yet: open {link} to make its owner; the link works once, and a restart makes a new one");
    }
    let server = Server::serve(started, listener)?;
    tracing::info!(address = %server.address, "serving {}", server.app.public_url);
    signals.wait().await;
    tracing::info!("going down: running requests may end within {} s", server.app.config.drain.as_secs());
    server.shutdown().await;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// Opens the port. With port 0 the system picks one, and the address that customers use follows it.
pub(super) async fn bind(config: &Config) -> anyhow::Result<(TcpListener, PublicUrl)> {
    let listener =
        TcpListener::bind(config.listen).await.with_context(|| format!("cannot listen on {} (LISTEN or --listen chooses another address)", config.listen))?;
    let chosen_by_us = config.public_url == PublicUrl::of_listener(config.listen);
    let public_url = if chosen_by_us { PublicUrl::of_listener(listener.local_addr()?) } else { config.public_url.clone() };
    Ok((listener, public_url))
}

/// SIGTERM and SIGINT. Listened to from the start: one that comes while the shop is still opening must not end it in the middle of that.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for either.
    pub(super) async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
