//! How mail leaves the house: over SMTP, or into a folder while there is no mail server.

use super::reader::Reader;
use crate::kernel::secrets::Secret;
use lettre::message::Mailbox;
use std::path::{Path, PathBuf};

/// The settings of mail.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// Whom mail comes from.
    pub from: Mailbox,
    /// Where it goes.
    pub delivery: Delivery,
}

/// Where mail goes.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// To a mail server.
    Smtp(SmtpConfig),
    /// Into this folder, one `.eml` file for each message.
    Folder(PathBuf),
}

/// A mail server.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    /// Its name, which its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Name and password, when it wants them.
    pub login: Option<(String, Secret<String>)>,
    /// How the connection is encrypted. It always is.
    pub tls: SmtpTls,
    /// Certificates in PEM to trust besides the system's.
    pub ca_file: Option<PathBuf>,
}

/// How a connection to a mail server is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmtpTls {
    /// It begins in the clear and must change over before anything else is said (port 587).
    StartTls,
    /// It is encrypted from the first byte (port 465).
    Implicit,
}

pub(super) fn read(reader: &mut Reader, data_dir: &Path) -> MailConfig {
    let from = reader.parsed("MAIL_FROM", "an address, such as shop@example.com or My Shop <shop@example.com>");
    let folder = reader.text("MAIL_DIR").map_or_else(|| data_dir.join("mail"), PathBuf::from);
    let smtp = smtp(reader);
    if smtp.is_some() && reader.text("MAIL_FROM").is_none() {
        reader.problem("MAIL_FROM", "must be set when SMTP_HOST is: mail servers refuse mail from nobody");
    }
    MailConfig { from: from.unwrap_or_else(nobody), delivery: smtp.map_or(Delivery::Folder(folder), Delivery::Smtp) }
}

fn smtp(reader: &mut Reader) -> Option<SmtpConfig> {
    let tls = reader.choice("SMTP_TLS", &[("starttls", SmtpTls::StartTls), ("implicit", SmtpTls::Implicit)]);
    let usual = if tls == SmtpTls::StartTls { 587 } else { 465 };
    let port = reader.parse_with("SMTP_PORT", "a port from 1 to 65535", |text| text.parse::<u16>().ok().filter(|port| *port > 0));
    let login = login(reader);
    let ca_file = ca_file(reader);
    let host = reader.text("SMTP_HOST");
    if host.is_none() && (login.is_some() || ca_file.is_some()) {
        reader.problem("SMTP_HOST", "must be set when other SMTP settings are");
    }
    Some(SmtpConfig { host: host?, port: port.unwrap_or(usual), login, tls, ca_file })
}

fn login(reader: &mut Reader) -> Option<(String, Secret<String>)> {
    match (reader.text("SMTP_USERNAME"), reader.secret_text("SMTP_PASSWORD")) {
        (None, None) => None,
        (Some(name), Some(password)) => {
            reader.refuse_example("SMTP_PASSWORD", &password);
            Some((name, Secret::new(password)))
        }
        (Some(_), None) => {
            reader.problem("SMTP_PASSWORD", "must be set when SMTP_USERNAME is");
            None
        }
        (None, Some(_)) => {
            reader.problem("SMTP_USERNAME", "must be set when SMTP_PASSWORD is");
            None
        }
    }
}

fn ca_file(reader: &mut Reader) -> Option<PathBuf> {
    let path = PathBuf::from(reader.text("SMTP_CA_FILE")?);
    if let Err(error) = std::fs::File::open(&path) {
        reader.problem("SMTP_CA_FILE", format!("names {}, which cannot be read: {error}", path.display()));
    }
    Some(path)
}

/// The sender of a shop that has no mail server: its mail stays on this machine.
fn nobody() -> Mailbox {
    "Farebox <farebox@localhost>".parse().expect("the address is well formed")
}
