//! An e-mail address, parsed where it enters.

use url::Host;

/// The longest address that mail servers carry.
const MAX_BYTES: usize = 254;
const MAX_LOCAL_BYTES: usize = 64;

/// An e-mail address: as it was typed, and as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Email {
    address: String,
    key: String,
}

/// The text is not an e-mail address that mail can be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not an e-mail address")]
pub struct BadEmail;

impl Email {
    /// Parses a typed address. The host is brought into the form that mail servers use, international names included.
    ///
    /// # Errors
    /// [`BadEmail`].
    pub fn parse(text: &str) -> Result<Self, BadEmail> {
        let (local, host) = text.trim().rsplit_once('@').ok_or(BadEmail)?;
        if !is_local_part(local) {
            return Err(BadEmail);
        }
        let host = ascii_host(host)?;
        let address = format!("{local}@{host}");
        if address.len() > MAX_BYTES || address.parse::<lettre::Address>().is_err() {
            return Err(BadEmail);
        }
        let key = address.to_ascii_lowercase();
        Ok(Self { address, key })
    }

    /// Where mail goes.
    pub fn as_str(&self) -> &str {
        &self.address
    }

    /// What makes two addresses the same account: the address in lower case.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl std::fmt::Display for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.address)
    }
}

/// Words of the characters that need no quoting, joined by single dots.
fn is_local_part(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    text.len() <= MAX_LOCAL_BYTES && text.split('.').all(|word| !word.is_empty() && word.chars().all(plain))
}

fn ascii_host(text: &str) -> Result<String, BadEmail> {
    let plain = |c: char| c.is_alphanumeric() || c == '-' || c == '.';
    if !text.chars().all(plain) {
        return Err(BadEmail);
    }
    let Ok(Host::Domain(host)) = Host::parse(text) else { return Err(BadEmail) };
    let label = |label: &str| !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-');
    let labels: Vec<&str> = host.split('.').collect();
    if labels.len() < 2 || !labels.iter().all(|text| label(text)) {
        return Err(BadEmail);
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_normalised() {
        for (typed, address, key) in [
            ("ada@example.com", "ada@example.com", "ada@example.com"),
            ("  Ada.L+shop@Example.COM ", "Ada.L+shop@example.com", "ada.l+shop@example.com"),
            ("x@bücher.example", "x@xn--bcher-kva.example", "x@xn--bcher-kva.example"),
            ("x@中文.example", "x@xn--fiq228c.example", "x@xn--fiq228c.example"),
        ] {
            let email = Email::parse(typed).unwrap();
            assert_eq!((email.as_str(), email.key()), (address, key));
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!("a@{}.com", "b.".repeat(126));
        for bad in [
            "",
            "@",
            "ada",
            "ada@",
            "@example.com",
            "ada@localhost",
            "ada@127.0.0.1",
            "ada@0x7f.1",
            "ada@[::1]",
            "a b@example.com",
            "ada@exa mple.com",
            "a..b@example.com",
            ".a@example.com",
            "a@b@example.com",
            "ada@-x.com",
            "ada@x-.com",
            "ada@example..com",
            "ada@example.com.",
            "ada@ex%61mple.com",
            "ada@example.com\nBcc: eve@example.com",
            "ada\r\n@example.com",
            "\"ada\"@example.com",
            "<ada@example.com>",
            "ädа@example.com",
            &long,
            &longer,
        ] {
            assert_eq!(Email::parse(bad), Err(BadEmail), "{bad}");
        }
    }
}
