//! `farebox demo`: a whole shop in a fresh folder, with a simulated upstream, on loopback only.

use super::serve::{Signals, bind};
use super::{DemoArgs, block_on, failed, misconfigured};
use crate::app::{self, Environment, Server};
use crate::config::{self, Config, ConfigError};
use crate::demo::upstream::Pace;
use crate::demo::{self, Furnished};
use crate::kernel::Random;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the demo takes from the environment; everything else is its own, so that it never touches a real shop.
const PASSED_ON: [&str; 4] = ["LISTEN", "RUST_LOG", "LOG_FORMAT", "DRAIN_SECONDS"];

pub(super) fn run(args: DemoArgs) -> ExitCode {
    let folder = fresh_folder();
    let config = match settings(&args, &folder) {
        Ok(config) => config,
        Err(error) => return misconfigured(&error),
    };
    if !config.listen.ip().is_loopback() {
        return failed(&format!("the demo has known logins and serves on loopback only, such as 127.0.0.1:3000, not on {}", config.listen));
    }
    crate::telemetry::init(&config.log);
    block_on(config.worker_threads, serve(config, args, folder))
}

fn fresh_folder() -> PathBuf {
    let suffix: [u8; 4] = Random::system().bytes();
    Path::new("data").join(format!("demo-{}", data_encoding::HEXLOWER.encode(&suffix)))
}

fn settings(args: &DemoArgs, folder: &Path) -> Result<Config, ConfigError> {
    let mut environment = config::Environment::read()?;
    if let Some(listen) = args.listen {
        environment = environment.with("LISTEN", listen.to_string());
    }
    Config::from_lookup(|name| match name {
        "DATA_DIR" => Some(folder.display().to_string()),
        "RUST_LOG" => environment.get(name).or_else(|| Some("warn".to_owned())),
        _ if PASSED_ON.contains(&name) => environment.get(name),
        _ => None,
    })
}

async fn serve(mut config: Config, args: DemoArgs, folder: PathBuf) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let (listener, public_url) = bind(&config).await?;
    let upstream = demo::start_upstream(if args.instant { Pace::NONE } else { Pace::REAL }).await?;
    let stripe = demo::start_stripe().await?;
    config.stripe = demo::card_payments(&stripe);
    // Absolute, like the folder of the mail: programs that read this line stand in other folders.
    let database_url = format!("sqlite://{}", std::path::absolute(folder.join("farebox.db"))?.display());
    let started = app::start(config, public_url, Environment::production()).await?;
    let furnished = demo::furnish(&started.app, &upstream).await?;
    let server = Server::serve(started, listener)?;
    let url = server.app.public_url.as_str().to_owned();
    demo::connect_stripe(&stripe, &url);
    let places = Places { url: &url, upstream: &upstream.base_url(), stripe: &stripe.base_url(), mail: &folder.join("mail"), database: &database_url };
    announce(&places, &furnished, args.json)?;
    signals.wait().await;
    server.shutdown().await;
    upstream.stop().await;
    stripe.stop().await;
    Ok(ExitCode::SUCCESS)
}

/// Where everything is.
struct Places<'a> {
    url: &'a str,
    upstream: &'a str,
    stripe: &'a str,
    mail: &'a Path,
    database: &'a str,
}

fn announce(places: &Places<'_>, furnished: &Furnished, json: bool) -> anyhow::Result<()> {
    let (url, mail) = (places.url, places.mail);
    let mut out = std::io::stdout().lock();
    if json {
        let login = |login: &demo::Login| serde_json::json!({"email": login.email, "password": login.password.reveal()});
        let cards: Vec<&String> = furnished.gift_cards.iter().map(|code| code.reveal()).collect();
        let mail = std::path::absolute(mail)?;
        let line = serde_json::json!({
            "url": url,
            "owner": login(&furnished.owner),
            "customer": login(&furnished.customer),
            "key": furnished.key.reveal(),
            "gift_cards": cards,
            "mail_dir": mail,
            "database_url": places.database,
            "upstream": {"url": places.upstream, "key": demo::UPSTREAM_KEY},
            "stripe": {"url": places.stripe, "control": format!("{}/control", places.stripe), "key": demo::STRIPE_KEY},
        });
        writeln!(out, "{line}")?;
        return Ok(out.flush()?);
    }
    let (owner, customer, key) = (&furnished.owner, &furnished.customer, furnished.key.reveal());
    writeln!(out, "Farebox demo: {url}\n")?;
    writeln!(out, "  owner     {}  {}", owner.email, owner.password.reveal())?;
    writeln!(out, "  customer  {}  {}", customer.email, customer.password.reveal())?;
    writeln!(out, "  API key   {key}")?;
    for card in &furnished.gift_cards {
        writeln!(out, "  gift card {}", card.reveal())?;
    }
    writeln!(out, "  card      {}  (simulated; {}/control)", demo::stripe::Card::Good.number(), places.stripe)?;
    writeln!(out, "  mail      {}\n\nTry:\n", mail.display())?;
    let body = format!(r#"{{"model":"{}","stream":true,"messages":[{{"role":"user","content":"Say hello"}}]}}"#, furnished.model);
    writeln!(
        out,
        "curl -N {url}/v1/chat/completions \\\n  -H 'Authorization: Bearer {key}' \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'\n\nCtrl-C ends it."
    )?;
    Ok(out.flush()?)
}
