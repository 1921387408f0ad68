//! The settings, typed: read once from the environment and `.env`, checked together, and never asked for again.
//!
//! Everything that is wrong is told in one [`ConfigError`], each with what to do. Nothing here reads a clock or opens a
//! connection, and [`Config::from_lookup`] does not touch the environment, so that tests make any configuration they like.
//! `.env.example` documents each setting; a test keeps the two in step.

mod app_secret;
mod database;
mod environment;
mod mail;
mod proxies;
mod public_url;
mod reader;
mod stripe;
#[cfg(test)]
mod tests;

pub use app_secret::{AppSecretError, AppSecretSource};
pub use database::DatabaseConfig;
pub use environment::Environment;
pub use mail::{Delivery, MailConfig, SmtpConfig, SmtpTls};
pub use proxies::{ProxyHeader, TrustedProxies};
pub use public_url::PublicUrl;
pub use reader::{ConfigError, Problem};
pub use stripe::StripeConfig;

use crate::kernel::secrets::Secret;
use reader::Reader;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// All settings of `serve`.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where the site and the API are served.
    pub listen: SocketAddr,
    /// How customers reach the shop.
    pub public_url: PublicUrl,
    /// The database.
    pub database: DatabaseConfig,
    /// The folder of everything that is kept in files.
    pub data_dir: PathBuf,
    /// Where the application secret comes from.
    pub app_secret: AppSecretSource,
    /// Redis, which shares limits between nodes. It may hold a password.
    pub redis_url: Option<Secret<String>>,
    /// How mail leaves the house.
    pub mail: MailConfig,
    /// Card payments, when there are any.
    pub stripe: Option<StripeConfig>,
    /// The largest request body, in bytes.
    pub body_limit: usize,
    /// How many bytes of answers are kept for identical requests.
    pub response_cache: u64,
    /// How long a shutdown waits for streams to end.
    pub drain: Duration,
    /// How long the relay waits for an upstream.
    pub upstream: UpstreamTimeouts,
    /// Proxies whose word for the caller's address is believed.
    pub trusted_proxies: TrustedProxies,
    /// What is logged, and how.
    pub log: LogConfig,
    /// Threads of the server; none is one for each processor.
    pub worker_threads: Option<usize>,
}

/// How long the relay waits for an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// For the connection.
    pub connect: Duration,
    /// For the first byte of the answer.
    pub first_byte: Duration,
    /// For the next byte, once bytes flow.
    pub idle: Duration,
    /// For what a stream used, once its client has gone.
    pub read_on: Duration,
    /// How many times a request is sent to upstreams before it fails.
    pub attempts: usize,
    /// After so long no further upstream is tried.
    pub total: Duration,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Text for people or JSON for machines.
    pub format: LogFormat,
    /// The filter, in the syntax of `RUST_LOG`. It was parsed once and is valid.
    pub filter: String,
}

/// The form of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Config {
    /// Reads the environment and `.env`.
    ///
    /// # Errors
    /// Everything that is wrong, in one error.
    pub fn load() -> Result<Self, ConfigError> {
        let environment = Environment::read()?;
        Self::from_lookup(|name| environment.get(name))
    }

    /// Reads the settings from anything that knows values by name. An empty value is an absent one.
    ///
    /// # Errors
    /// Everything that is wrong, in one error.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(&lookup);
        let database = database::read(&mut reader);
        let data_dir = database::data_dir(&mut reader);
        let listen = reader.parsed("LISTEN", "an address and a port, such as 127.0.0.1:3000").unwrap_or(SocketAddr::from(([127, 0, 0, 1], 3000)));
        let config = Self {
            listen,
            public_url: public_url::read(&mut reader, listen),
            app_secret: app_secret::read(&mut reader, database.engine, &data_dir),
            database,
            redis_url: redis_url(&mut reader),
            mail: mail::read(&mut reader, &data_dir),
            stripe: stripe::read(&mut reader),
            body_limit: body_limit(&mut reader),
            response_cache: response_cache(&mut reader),
            drain: Duration::from_secs(reader.number("DRAIN_SECONDS", 30, 0..=3600)),
            upstream: UpstreamTimeouts {
                connect: Duration::from_millis(reader.number("UPSTREAM_CONNECT_TIMEOUT_MS", 5_000, TIMEOUT_MS)),
                first_byte: Duration::from_millis(reader.number("UPSTREAM_FIRST_BYTE_TIMEOUT_MS", 120_000, TIMEOUT_MS)),
                idle: Duration::from_millis(reader.number("UPSTREAM_IDLE_TIMEOUT_MS", 60_000, TIMEOUT_MS)),
                read_on: Duration::from_millis(reader.number("UPSTREAM_READ_ON_MS", 5_000, 0..=60_000)),
                attempts: reader.number("UPSTREAM_ATTEMPTS", 5, 1..=20) as usize,
                total: Duration::from_millis(reader.number("UPSTREAM_TOTAL_TIMEOUT_MS", 180_000, TIMEOUT_MS)),
            },
            trusted_proxies: trusted_proxies(&mut reader),
            log: log(&mut reader),
            worker_threads: reader.optional_number("WORKER_THREADS", 1..=1024).map(to_usize),
            data_dir,
        };
        reader.finish(config)
    }
}

impl LogConfig {
    /// Reads the two settings of the log.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let mut reader = Reader::new(&lookup);
        let config = log(&mut reader);
        reader.finish(config)
    }
}

/// Ten milliseconds to an hour: outside of that, somebody confused seconds with milliseconds.
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 10..=3_600_000;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const BODY_LIMITS: std::ops::RangeInclusive<u64> = KIB..=GIB;

fn log(reader: &mut Reader) -> LogConfig {
    let format = reader.choice("LOG_FORMAT", &[("text", LogFormat::Text), ("json", LogFormat::Json)]);
    let filter = reader
        .parse_with("RUST_LOG", "a log filter, such as info or farebox=debug,warn", |text| EnvFilter::builder().parse(text).ok().map(|_| text.to_owned()));
    LogConfig { format, filter: filter.unwrap_or_else(|| "info".to_owned()) }
}

fn trusted_proxies(reader: &mut Reader) -> TrustedProxies {
    let proxies: TrustedProxies = reader.parsed("TRUSTED_PROXIES", "a list of addresses or networks, such as 10.0.0.0/8, ::1").unwrap_or_default();
    let names = [("x-forwarded-for", ProxyHeader::XForwardedFor), ("forwarded", ProxyHeader::Forwarded)];
    proxies.with_header(reader.choice("TRUSTED_PROXY_HEADER", &names))
}

fn redis_url(reader: &mut Reader) -> Option<Secret<String>> {
    const NAME: &str = "REDIS_URL";
    let text = reader.text(NAME)?;
    let url = url::Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "redis" | "rediss") && url.has_host());
    match url {
        None => reader.problem(NAME, "is not a Redis address; write it like redis://127.0.0.1:6379 or rediss://user:password@host:6379"),
        Some(url) => reader.refuse_example_password(NAME, &url),
    }
    Some(Secret::new(text))
}

fn body_limit(reader: &mut Reader) -> usize {
    let limit = reader
        .parse_with("BODY_LIMIT", "a size between 1KiB and 1GiB, such as 32MiB or 33554432", |text| size(text).filter(|bytes| BODY_LIMITS.contains(bytes)));
    to_usize(limit.unwrap_or(32 * MIB))
}

fn response_cache(reader: &mut Reader) -> u64 {
    let bytes = reader.parse_with("RESPONSE_CACHE", "a size up to 64GiB, such as 64MiB or 0", |text| size(text).filter(|bytes| *bytes <= 64 * GIB));
    bytes.unwrap_or(64 * MIB)
}

/// A size: bytes, or a number with the unit KiB, MiB or GiB.
fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kib" => KIB,
        "mib" => MIB,
        "gib" => GIB,
        _ => return None,
    };
    digits.trim_end().parse::<u64>().ok()?.checked_mul(unit)
}

/// For values whose range was checked: they fit every machine.
fn to_usize(value: u64) -> usize {
    usize::try_from(value).unwrap_or(usize::MAX)
}
