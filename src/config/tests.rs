//! The settings as a whole: defaults, everything wrong at once, nothing secret printed, and the documentation in step.

use super::*;
use crate::db::{Durability, Engine};
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

const GOOD_SECRET: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

fn config(settings: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::from_lookup(|name| settings.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
}

/// The names of the settings that are wrong.
fn wrong(settings: &[(&str, &str)]) -> Vec<String> {
    config(settings).unwrap_err().0.into_iter().map(|problem| problem.setting).collect()
}

#[test]
fn no_setting_is_needed() {
    let config = config(&[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:3000");
    assert_eq!(config.public_url.as_str(), "http://127.0.0.1:3000");
    assert_eq!(config.database.url.reveal(), "sqlite://data/farebox.db");
    assert_eq!((config.database.engine, config.database.durability), (Engine::Sqlite, Durability::Crash));
    assert_eq!((config.body_limit, config.response_cache), (33_554_432, 67_108_864));
    assert_eq!(config.drain, Duration::from_secs(30));
    assert_eq!(config.log, LogConfig { format: LogFormat::Text, filter: "info".into() });
    assert!(matches!(&config.app_secret, AppSecretSource::File(path) if path.ends_with("data/app_secret")));
    assert!(matches!(&config.mail.delivery, Delivery::Folder(path) if path.ends_with("data/mail")));
    assert!(config.redis_url.is_none() && config.worker_threads.is_none());
}

#[test]
fn everything_wrong_is_told_at_once_with_what_to_do() {
    let error = config(&[("LISTEN", "3000"), ("BODY_LIMIT", "32 bananas"), ("SMTP_TLS", "none"), ("DATABASE_URL", "mysql://db/x"), ("DRAIN_SECONDS", "-1")])
        .unwrap_err();
    let text = error.to_string();
    for part in [
        "\n  LISTEN is \"3000\", but must be an address and a port",
        "\n  BODY_LIMIT is \"32 bananas\", but must be a size",
        "\n  SMTP_TLS is \"none\", but must be starttls or implicit",
        "\n  DATABASE_URL is not the address of a database",
        "\n  DRAIN_SECONDS is \"-1\", but must be a whole number from 0 to 3600",
        "\n  APP_SECRET must be set with PostgreSQL",
    ] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    assert_eq!(error.0.len(), 6, "{text}");
}

#[test]
fn each_kind_of_mistake_is_found() {
    for (name, value) in [
        ("LISTEN", "localhost"),
        ("PUBLIC_URL", "shop.example.com"),
        ("PUBLIC_URL", "https://shop.example.com/base"),
        ("PUBLIC_URL", "https://me:pw@shop.example.com"),
        ("PUBLIC_URL", "ftp://shop.example.com"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, proxy"),
        ("BODY_LIMIT", "0"),
        ("BODY_LIMIT", "2GiB"),
        ("BODY_LIMIT", "99999999999999999999GiB"),
        ("WORKER_THREADS", "0"),
        ("DATA_DIR", "my data"),
        ("DATABASE_URL", "sqlite::memory:"),
        ("DATABASE_URL", "sqlite://x?mode=memory"),
        ("SQLITE_SYNCHRONOUS", "off"),
        ("APP_SECRET", "change-me"),
        ("REDIS_URL", "127.0.0.1:6379"),
        ("REDIS_URL", "redis://:change-me@127.0.0.1:6379"),
        ("MAIL_FROM", "nobody"),
        ("SMTP_PORT", "0"),
        ("STRIPE_SECRET_KEY", "pk_test_published"),
        ("STRIPE_SECRET_KEY", "sk_"),
        ("STRIPE_WEBHOOK_SECRET", "we_1234567890"),
        ("STRIPE_API_BASE", "http://stripe.example.com"),
        ("STRIPE_API_BASE", "https://api.stripe.com/v1"),
        ("STRIPE_API_BASE", "api.stripe.com"),
        ("UPSTREAM_CONNECT_TIMEOUT_MS", "5"),
        ("UPSTREAM_IDLE_TIMEOUT_MS", "1m"),
        ("LOG_FORMAT", "xml"),
        ("RUST_LOG", "farebox=loud"),
    ] {
        assert_eq!(wrong(&[(name, value)]), [name], "{name}={value}");
    }
    let smtp = [("SMTP_HOST", "mail.example.com"), ("MAIL_FROM", "shop@example.com")];
    for (extra, expected) in [
        (&[("SMTP_USERNAME", "shop")][..], "SMTP_PASSWORD"),
        (&[("SMTP_PASSWORD", "x")], "SMTP_USERNAME"),
        (&[("SMTP_USERNAME", "shop"), ("SMTP_PASSWORD", "change-me")], "SMTP_PASSWORD"),
        (&[("SMTP_CA_FILE", "/nowhere/ca.pem")], "SMTP_CA_FILE"),
    ] {
        assert_eq!(wrong(&[&smtp[..], extra].concat()), [expected]);
    }
    assert_eq!(wrong(&[("SMTP_HOST", "mail.example.com")]), ["MAIL_FROM"]);
    assert_eq!(wrong(&[("SMTP_USERNAME", "shop"), ("SMTP_PASSWORD", "right")]), ["SMTP_HOST"]);
}

#[test]
fn good_values_arrive() {
    let config = config(&[
        ("LISTEN", "0.0.0.0:8080"),
        ("BODY_LIMIT", "512KiB"),
        ("RESPONSE_CACHE", "0"),
        ("DATA_DIR", "/var/lib/farebox/"),
        ("SQLITE_SYNCHRONOUS", "FULL"),
        ("SMTP_HOST", "mail.example.com"),
        ("SMTP_TLS", "implicit"),
        ("SMTP_USERNAME", "shop"),
        ("SMTP_PASSWORD", " with space "),
        ("MAIL_FROM", "My Shop <shop@example.com>"),
        ("LOG_FORMAT", "json"),
        ("REDIS_URL", ""),
    ])
    .unwrap();
    assert_eq!(config.public_url.link("/reset"), "http://127.0.0.1:8080/reset");
    assert_eq!((config.body_limit, config.response_cache), (524_288, 0));
    assert_eq!(config.database.url.reveal(), "sqlite:///var/lib/farebox/farebox.db");
    assert_eq!(config.database.durability, Durability::PowerLoss);
    let Delivery::Smtp(smtp) = &config.mail.delivery else { panic!("{:?}", config.mail) };
    assert_eq!((smtp.host.as_str(), smtp.port, smtp.tls), ("mail.example.com", 465, SmtpTls::Implicit));
    assert_eq!(smtp.login.as_ref().unwrap().1.reveal(), " with space ");
    assert_eq!((config.mail.from.name.as_deref(), config.mail.from.email.to_string().as_str()), (Some("My Shop"), "shop@example.com"));
    assert!(config.redis_url.is_none());
}

#[test]
fn cards_are_taken_with_a_key_and_messages_believed_with_a_secret() {
    assert!(config(&[]).unwrap().stripe.is_none());
    assert!(config(&[("STRIPE_SECRET_KEY", " "), ("STRIPE_WEBHOOK_SECRET", "whsec_12345678")]).unwrap().stripe.is_none());
    let stripe = config(&[("STRIPE_SECRET_KEY", "rk_live_12345678"), ("STRIPE_WEBHOOK_SECRET", "  ")]).unwrap().stripe.unwrap();
    assert!(stripe.webhook_secret.is_none() && stripe.api_base.is_none());
    let settings = [("STRIPE_SECRET_KEY", "sk_test_12345678\n"), ("STRIPE_WEBHOOK_SECRET", "whsec_12345678"), ("STRIPE_API_BASE", "http://127.0.0.1:12111/")];
    let stripe = config(&settings).unwrap().stripe.unwrap();
    assert_eq!((stripe.secret_key.reveal().as_str(), stripe.api_base.as_deref()), ("sk_test_12345678", Some("http://127.0.0.1:12111")));
    assert!(!format!("{stripe:?}").contains("12345678"));
}

#[test]
fn https_is_known_and_a_listener_on_all_addresses_is_reached_here() {
    let https = config(&[("PUBLIC_URL", "https://Shop.Example.com:443/")]).unwrap().public_url;
    assert_eq!((https.as_str(), https.is_https()), ("https://shop.example.com", true));
    assert_eq!(PublicUrl::of_listener("[::]:3000".parse().unwrap()).as_str(), "http://[::1]:3000");
}

#[test]
fn postgres_needs_a_secret_of_its_own() {
    let url = ("DATABASE_URL", "postgres://farebox:right@db:5432/farebox");
    assert_eq!(wrong(&[url]), ["APP_SECRET"]);
    assert_eq!(wrong(&[url, ("APP_SECRET", &"ab".repeat(32))]), ["APP_SECRET"]);
    let config = config(&[url, ("APP_SECRET", GOOD_SECRET)]).unwrap();
    assert_eq!(config.database.engine, Engine::Postgres);
    assert!(matches!(config.app_secret, AppSecretSource::Given(_)));
    for example in ["postgres://farebox:change-me@db/farebox", "postgres://farebox:Change%2Dme@db/farebox", "postgres://db/farebox?user=x&password=change-me"] {
        assert_eq!(wrong(&[("DATABASE_URL", example), ("APP_SECRET", GOOD_SECRET)]), ["DATABASE_URL"], "{example}");
    }
}

#[test]
fn the_books_need_no_secret() {
    let lookup = |name: &str| match name {
        "DATABASE_URL" => Some("postgres://farebox:right@db:5432/farebox".to_owned()),
        "SQLITE_SYNCHRONOUS" | "DATA_DIR" => None,
        other => panic!("{other} is none of its business"),
    };
    assert_eq!(DatabaseConfig::from_lookup(lookup).unwrap().engine, Engine::Postgres);
}

#[test]
fn secrets_never_print() {
    let settings = [
        ("DATABASE_URL", "postgres://farebox:hush1@db/farebox"),
        ("REDIS_URL", "redis://:hush2@cache"),
        ("APP_SECRET", GOOD_SECRET),
        ("SMTP_HOST", "mail.example.com"),
        ("MAIL_FROM", "shop@example.com"),
        ("SMTP_USERNAME", "shop"),
        ("SMTP_PASSWORD", "hush3"),
    ];
    let printed = format!("{:?}", config(&settings).unwrap());
    let broken: Vec<(&str, &str)> = settings.iter().map(|&(name, value)| (name, if name == "APP_SECRET" { "hush4" } else { value })).collect();
    let told = [
        config(&broken).unwrap_err().to_string(),
        config(&[("DATABASE_URL", "postgres//farebox:hush5@db"), ("REDIS_URL", "redis//:hush6@cache")]).unwrap_err().to_string(),
    ];
    for text in [&printed, &told[0], &told[1]] {
        assert!(!text.contains("hush") && !text.contains(GOOD_SECRET), "{text}");
    }
}

#[test]
fn dotenv_fills_what_the_environment_leaves_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".env");
    assert!(Environment::read_file(&path).unwrap().get("LISTEN_FOR_THIS_TEST").is_none());

    std::fs::write(&path, "# a comment\nLISTEN_FOR_THIS_TEST=\"127.0.0.1:1\" # mine\nPATH=/nowhere\n").unwrap();
    let environment = Environment::read_file(&path).unwrap();
    assert_eq!(environment.get("LISTEN_FOR_THIS_TEST").unwrap(), "127.0.0.1:1");
    assert_eq!(environment.get("PATH"), std::env::var("PATH").ok());
    assert_eq!(environment.with("LISTEN_FOR_THIS_TEST", "127.0.0.1:2").get("LISTEN_FOR_THIS_TEST").unwrap(), "127.0.0.1:2");

    std::fs::write(&path, "A=1\nSMTP_PASSWORD='hush\n").unwrap();
    let error = Environment::read_file(&path).unwrap_err().to_string();
    assert!(error.contains("after 1 settings") && !error.contains("hush"), "{error}");
}

const EXAMPLE: &str = include_str!("../../.env.example");
const COMPOSE_ONLY: &str = "# --- Only docker-compose.yml reads what follows ---";

/// The settings that `.env.example` shows, with the values it shows.
fn documented() -> BTreeMap<&'static str, &'static str> {
    let (ours, _) = EXAMPLE.split_once(COMPOSE_ONLY).unwrap();
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
    ours.lines().filter_map(|line| line.strip_prefix("# ")?.split_once('=')).filter(|(name, _)| is_name(name)).collect()
}

#[test]
fn the_example_names_every_setting_and_no_other() {
    let asked = RefCell::new(BTreeSet::new());
    let full = [("SMTP_HOST", "mail.example.com"), ("MAIL_FROM", "shop@example.com")];
    Config::from_lookup(|name| {
        asked.borrow_mut().insert(name.to_owned());
        full.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
    .unwrap();
    assert_eq!(asked.into_inner().iter().map(String::as_str).collect::<Vec<_>>(), documented().into_keys().collect::<Vec<_>>());
}

#[test]
fn the_example_shows_the_defaults() {
    let documented = documented();
    let shown = Config::from_lookup(|name| documented.get(name).map(|value| (*value).to_owned())).unwrap();
    let default = config(&[]).unwrap();
    assert_eq!(format!("{shown:?}"), format!("{default:?}"));
    assert_eq!(shown.database.url, default.database.url);
}

#[test]
fn no_secret_has_a_default_in_the_compose_file() {
    let compose = include_str!("../../docker-compose.yml");
    let substituted: Vec<&str> = compose.split("${").skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
    let secrets: Vec<&&str> = substituted.iter().filter(|text| text.contains("SECRET") || text.contains("PASSWORD")).collect();
    assert!(secrets.len() >= 3, "{substituted:?}");
    assert!(secrets.iter().all(|text| text.contains(":?")), "{secrets:?}");

    let named: BTreeSet<&str> = substituted.iter().map(|text| text.split(':').next().unwrap()).collect();
    let shown: BTreeSet<&str> = EXAMPLE.lines().filter_map(|line| line.strip_prefix("# ")?.split_once('=')).map(|(name, _)| name).collect();
    assert!(named.is_subset(&shown), "{named:?}");
}
