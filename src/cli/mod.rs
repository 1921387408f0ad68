//! What `farebox` can be told to do, and how each of it ends: 0 when it worked, 1 when it did not, 2 when it was told wrongly.

mod audit;
mod demo;
mod owner;
mod serve;

use crate::config::{ConfigError, DatabaseConfig, Environment, LogConfig};
use crate::db::{Db, migrate};
use clap::{Args, Parser, Subcommand};
use std::fmt::Display;
use std::future::Future;
use std::net::SocketAddr;
use std::process::ExitCode;

/// A shop for AI API credit and the meter behind it. Settings come from the environment and from .env; .env.example has them all.
#[derive(Debug, Parser)]
#[command(name = "farebox", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the site and the API (the default)
    Serve(ServeArgs),
    /// Try a whole shop with a simulated upstream, on this machine only
    Demo(DemoArgs),
    /// Bring the database up to date
    Migrate,
    /// Prove the books: exit code 1 and the lines that do not agree, otherwise
    Audit,
    /// Manage the shop from the command line
    #[command(subcommand)]
    Admin(AdminCommand),
}

#[derive(Args, Debug, Default)]
struct ServeArgs {
    /// Where to serve, instead of LISTEN
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
}

#[derive(Args, Debug)]
struct DemoArgs {
    /// Where to serve, on loopback, instead of LISTEN
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Print one line of JSON when ready, for programs
    #[arg(long)]
    json: bool,
    /// Answer at once, instead of at the pace of a model
    #[arg(long)]
    instant: bool,
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Make the owner's account; the password is read from standard input
    CreateOwner(OwnerArgs),
}

#[derive(Args, Debug)]
struct OwnerArgs {
    /// The owner's e-mail address
    #[arg(long)]
    email: String,
    /// Make one beside the owners that there are
    #[arg(long)]
    force: bool,
}

/// Runs the command.
pub fn run(cli: Cli) -> ExitCode {
    match cli.command.unwrap_or(Command::Serve(ServeArgs::default())) {
        Command::Serve(args) => serve::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Migrate => migrate_only(),
        Command::Audit => audit::run(),
        Command::Admin(AdminCommand::CreateOwner(args)) => owner::run(args),
    }
}

fn migrate_only() -> ExitCode {
    with_database(Wanted::MayBeNew, |db| async move {
        migrate(&db).await?;
        println!("The database is up to date.");
        Ok(ExitCode::SUCCESS)
    })
}

/// What the work needs of the database.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// It is there already.
    Existing,
    /// It is made when it is not there.
    MayBeNew,
}

/// Runs work that needs the database and nothing else of the settings.
fn with_database<Work>(wanted: Wanted, work: impl FnOnce(Db) -> Work) -> ExitCode
where
    Work: Future<Output = anyhow::Result<ExitCode>>,
{
    let environment = match Environment::read() {
        Ok(environment) => environment,
        Err(error) => return misconfigured(&error),
    };
    let log = LogConfig::from_lookup(|name| environment.get(name));
    let database = DatabaseConfig::from_lookup(|name| environment.get(name));
    match (log, database) {
        (Ok(log), Ok(database)) => {
            crate::telemetry::init(&log);
            block_on(None, async move {
                let url = database.url.reveal();
                let db = match wanted {
                    Wanted::Existing => Db::connect_existing(url, database.durability).await?,
                    Wanted::MayBeNew => Db::connect_with(url, database.durability).await?,
                };
                work(db).await
            })
        }
        (Err(error), _) | (_, Err(error)) => misconfigured(&error),
    }
}

fn block_on(worker_threads: Option<usize>, work: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = worker_threads {
        builder.worker_threads(threads);
    }
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error),
    };
    let code = runtime.block_on(work).unwrap_or_else(|error| failed(&format!("{error:#}")));
    runtime.shutdown_background();
    code
}

fn misconfigured(error: &ConfigError) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(2)
}

fn failed(error: &dyn Display) -> ExitCode {
    eprintln!("farebox: {error}");
    ExitCode::FAILURE
}
