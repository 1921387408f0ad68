//! Card payments through Stripe: the account, and how its messages are known. Without a key there are none.

use super::reader::Reader;
use crate::kernel::secrets::Secret;
use url::Url;

/// The settings of card payments.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// The secret key of the account (`sk_...`), or a restricted one (`rk_...`).
    pub secret_key: Secret<String>,
    /// The signing secret of the webhook's endpoint (`whsec_...`); without one every message is refused.
    pub webhook_secret: Option<Secret<String>>,
    /// Another address than Stripe's, for tests and the demo. No slash at the end.
    pub api_base: Option<String>,
}

pub(super) fn read(reader: &mut Reader) -> Option<StripeConfig> {
    let secret_key = reader.text("STRIPE_SECRET_KEY");
    if secret_key.as_ref().is_some_and(|key| !has_shape(key, &["sk_", "rk_"])) {
        reader.problem("STRIPE_SECRET_KEY", "is not a secret key; it begins with sk_ or rk_ and stands in Stripe's dashboard under Developers, API keys");
    }
    let webhook_secret = reader.text("STRIPE_WEBHOOK_SECRET");
    if webhook_secret.as_ref().is_some_and(|secret| !has_shape(secret, &["whsec_"])) {
        reader.problem("STRIPE_WEBHOOK_SECRET", "is not a signing secret; it begins with whsec_ and stands beside the endpoint in Stripe's dashboard");
    }
    let api_base = reader.text("STRIPE_API_BASE").map(|text| (base(&text), text));
    if let Some((None, text)) = &api_base {
        let text = format!("is {text:?}, but must be https:// and a host, or http:// and an address of this machine, without a path");
        reader.problem("STRIPE_API_BASE", text);
    }
    Some(StripeConfig { secret_key: Secret::new(secret_key?), webhook_secret: webhook_secret.map(Secret::new), api_base: api_base.and_then(|(base, _)| base) })
}

/// A prefix and enough behind it, all visible.
fn has_shape(text: &str, prefixes: &[&str]) -> bool {
    let rest = prefixes.iter().find_map(|prefix| text.strip_prefix(prefix));
    rest.is_some_and(|rest| rest.len() >= 4 && rest.bytes().all(|byte| byte.is_ascii_graphic()))
}

/// The key travels there, so in the clear only within this machine.
fn base(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let here = match url.host()? {
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
        url::Host::Domain(name) => name == "localhost",
    };
    let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    (plain && (url.scheme() == "https" || (url.scheme() == "http" && here))).then(|| url.origin().ascii_serialization())
}
