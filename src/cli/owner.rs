//! `farebox admin create-owner`: an owner without the setup link, for machines that set shops up.

use super::{OwnerArgs, block_on, misconfigured};
use crate::accounts::{Accounts, Email, Password, PasswordHasher};
use crate::app::{Environment, open_database};
use crate::config::Config;
use crate::db::node;
use crate::i18n::Lang;
use crate::kernel::{IdGen, Kit};
use crate::limits::Limits;
use crate::settings;
use anyhow::Context;
use std::io::{BufRead, Read};
use std::process::ExitCode;
use zeroize::Zeroizing;

pub(super) fn run(args: OwnerArgs) -> ExitCode {
    let config = match Config::load() {
        Ok(config) => config,
        Err(error) => return misconfigured(&error),
    };
    crate::telemetry::init(&config.log);
    block_on(None, create(args, config))
}

async fn create(args: OwnerArgs, config: Config) -> anyhow::Result<ExitCode> {
    let email = Email::parse(&args.email).context("--email")?;
    let password = read_password()?;
    let environment = Environment::production();
    let (db, node) = open_database(&config, &environment.clock, environment.node_timeout).await?;
    let ids = IdGen::new(environment.clock.clone(), node.slot, node.ids_after);
    let kit = Kit { clock: environment.clock, ids, random: environment.random };
    let passwords = PasswordHasher::new(environment.password_params, kit.random.clone())?;
    let settings = settings::Snapshot::load(&db).await?;
    let accounts = Accounts::new(db.clone(), kit.clone(), passwords, Limits::in_process(kit.clock.clone()), settings, config.public_url.as_str());
    let created = accounts.create_owner(&email, &password, Lang::default(), args.force).await;
    node::stop(&db, &kit.clock, node.slot, node.incarnation).await?;
    db.close().await;
    let owner = created.context("the owner was not made (--force makes one beside those that there are)")?;
    println!("{} owns the shop now.", owner.email);
    Ok(ExitCode::SUCCESS)
}

/// From standard input, so that it stands in no list of processes and in no shell's history.
fn read_password() -> anyhow::Result<Password> {
    eprintln!("Type the password, then a new line:");
    let mut text = Zeroizing::new(String::new());
    std::io::stdin().lock().take(4096).read_line(&mut text).context("the password could not be read from standard input")?;
    let line = text.lines().next().unwrap_or_default();
    Password::parse(line).context("the password")
}
