//! How a mail leaves: over SMTP, or into a folder while there is no mail server.

use super::store::Claimed;
use super::{Message, Recipient};
use crate::config::{Delivery, MailConfig, SmtpConfig, SmtpTls};
use crate::db::make_private_folder;
use crate::kernel::Id;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use tokio::io::AsyncWriteExt;

/// How long the server may take over one command.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(15);
/// How long one mail may take altogether.
const SEND_TIMEOUT: Duration = Duration::from_secs(60);

/// What carries mail away.
#[derive(Clone, Debug)]
pub struct Transport {
    from: Mailbox,
    way: Way,
}

#[derive(Clone, Debug)]
enum Way {
    Smtp(Box<AsyncSmtpTransport<Tokio1Executor>>),
    Folder(PathBuf),
}

/// Why there is no transport.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The file of certificates cannot be read.
    #[error("SMTP_CA_FILE {0} cannot be read: {1}")]
    CaFile(PathBuf, std::io::Error),
    /// The file has no certificate, or one that is not one.
    #[error("SMTP_CA_FILE {0} has no usable certificate")]
    NoCertificate(PathBuf),
    /// The folder for mail cannot be made.
    #[error("the folder {0} for mail cannot be made: {1}")]
    Folder(PathBuf, std::io::Error),
    /// The server's name is none that a certificate could have.
    #[error("the mail server cannot be used: {0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
}

/// Why a mail did not leave. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The recipient is not an address.
    #[error("not an address: {0}")]
    Address(#[from] lettre::address::AddressError),
    /// The parts do not make a mail.
    #[error("not a mail: {0}")]
    Build(#[from] lettre::error::Error),
    /// The server refused, or was not there.
    #[error("{0}")]
    Smtp(#[from] lettre::transport::smtp::Error),
    /// The folder cannot be written.
    #[error("{0}")]
    Folder(#[from] std::io::Error),
    /// The server took too long.
    #[error("the mail server took longer than a minute")]
    Slow,
}

impl Transport {
    /// Makes the transport that the settings name. Nothing is connected to yet, but the folder is there from now on: whoever looks for
    /// the first mail finds it empty, and one that cannot be made is told at the start.
    ///
    /// # Errors
    /// As [`TransportError`] says.
    pub fn new(config: &MailConfig) -> Result<Self, TransportError> {
        let way = match &config.delivery {
            Delivery::Smtp(smtp) => Way::Smtp(Box::new(connect_to(smtp)?)),
            Delivery::Folder(folder) => {
                tracing::info!(folder = %folder.display(), "no mail server is set (SMTP_HOST): mail is written to this folder and goes nowhere");
                make_private_folder(folder).map_err(|error| TransportError::Folder(folder.clone(), error))?;
                Way::Folder(folder.clone())
            }
        };
        Ok(Self { from: config.from.clone(), way })
    }

    /// Sends a mail.
    pub(super) async fn send(&self, mail: &Claimed) -> Result<(), SendError> {
        let message = self.build(mail)?;
        match &self.way {
            Way::Smtp(server) => {
                let sending = tokio::time::timeout(SEND_TIMEOUT, server.send(message));
                sending.await.map_err(|_| SendError::Slow)??;
            }
            Way::Folder(folder) => write(folder, mail.id, &message.formatted()).await?,
        }
        Ok(())
    }

    fn build(&self, mail: &Claimed) -> Result<lettre::Message, SendError> {
        let Message { to, subject, text, html, attachment } = &mail.message;
        let to: Address = match to {
            Recipient::Address(to) => to.parse()?,
            Recipient::Nobody => return Err(lettre::address::AddressError::MissingParts.into()),
        };
        let written = UNIX_EPOCH + Duration::from_millis(mail.created_at.unsigned_abs());
        let message = lettre::Message::builder()
            .from(self.from.clone())
            .to(to.into())
            .subject(subject)
            .date(written)
            .message_id(Some(format!("<{}@{}>", mail.id, self.from.email.domain())))
            .raw_header(HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_owned()));
        let words = MultiPart::alternative_plain_html(text.clone(), html.clone());
        let Some(file) = attachment else { return Ok(message.multipart(words)?) };
        let kind = ContentType::parse("application/pdf").unwrap_or(ContentType::TEXT_PLAIN);
        let file = Attachment::new(file.name.clone()).body(file.content.clone(), kind);
        Ok(message.multipart(MultiPart::mixed().multipart(words).singlepart(file))?)
    }
}

fn connect_to(smtp: &SmtpConfig) -> Result<AsyncSmtpTransport<Tokio1Executor>, TransportError> {
    let mut tls = TlsParameters::builder(smtp.host.clone());
    if let Some(path) = &smtp.ca_file {
        tls = tls.add_root_certificate(read_certificates(path)?);
    }
    let tls = tls.build()?;
    // Required, never opportunistic: a connection that cannot be encrypted carries neither the password nor the mail.
    let tls = if smtp.tls == SmtpTls::StartTls { Tls::Required(tls) } else { Tls::Wrapper(tls) };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&smtp.host).port(smtp.port).tls(tls).timeout(Some(COMMAND_TIMEOUT));
    if let Some((name, password)) = &smtp.login {
        builder = builder.credentials(Credentials::new(name.clone(), password.reveal().clone()));
    }
    Ok(builder.build())
}

fn read_certificates(path: &Path) -> Result<Certificate, TransportError> {
    let pem = std::fs::read(path).map_err(|error| TransportError::CaFile(path.to_owned(), error))?;
    if !pem.windows(27).any(|window| window == b"-----BEGIN CERTIFICATE-----") {
        return Err(TransportError::NoCertificate(path.to_owned()));
    }
    Certificate::from_pem(&pem).map_err(|_| TransportError::NoCertificate(path.to_owned()))
}

/// Writes under another name first: whoever watches the folder never sees half a mail. The mails have links that open accounts, so
/// they are for their owner's eyes only.
async fn write(folder: &Path, id: Id, mail: &[u8]) -> std::io::Result<()> {
    make_private_folder(folder)?;
    let (unfinished, finished) = (folder.join(format!(".{id}.part")), folder.join(format!("{id}.eml")));
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(&unfinished).await?;
    file.write_all(mail).await?;
    file.flush().await?;
    drop(file);
    tokio::fs::rename(unfinished, finished).await
}
