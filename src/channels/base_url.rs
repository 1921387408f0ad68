//! The address of an upstream, and the one rule by which an API path is put behind it.
//!
//! The rule: a base URL has a version in its path. When a segment of the typed path is one (`v` and a digit: `/v1`,
//! `/api/paas/v4`, `/v1beta/openai`), the path is complete; when none is (`https://api.example.com`, `/openai`), the kind's version is added: `/v1`,
//! or `/v1beta` for Gemini. So an address works with or without it, and what is stored and shown is what is called. Azure is the exception:
//! there the version is an option of its own, so the address is that of the resource alone.

use super::dialect::Kind;
use url::Url;

/// What people paste when they copy the whole address of the API.
const ENDPOINTS: [&str; 5] = ["/chat/completions", "/completions", "/responses", "/messages", "/models"];
/// The same for a resource on Azure.
const AZURE: [&str; 3] = ["/openai/v1", "/openai/deployments", "/openai"];
const MAX_LEN: usize = 500;

/// Reads a typed base URL and brings it to the one form: complete, without a slash at the end.
///
/// # Errors
/// The translation key of what is wrong.
pub(super) fn parse(kind: Kind, typed: &str) -> Result<Url, &'static str> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Err("field.required");
    }
    if typed.len() > MAX_LEN {
        return Err("channels.error.base_url");
    }
    let mut url = Url::parse(typed).map_err(|_| "channels.error.base_url")?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("channels.error.base_url");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("channels.error.base_url_credentials");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("channels.error.base_url_query");
    }
    let path = complete(kind, url.path());
    url.set_path(&path);
    Ok(url)
}

fn complete(kind: Kind, path: &str) -> String {
    let without = |path: &str, endings: &[&str]| {
        let path = path.trim_end_matches('/');
        endings.iter().find_map(|ending| path.strip_suffix(ending)).unwrap_or(path).trim_end_matches('/').to_owned()
    };
    let path = without(path, &ENDPOINTS);
    match kind {
        Kind::AzureOpenAi => without(&path, &AZURE),
        _ if path.split('/').any(is_version) => path,
        Kind::Gemini => format!("{path}/v1beta"),
        Kind::OpenAi | Kind::Anthropic => format!("{path}/v1"),
    }
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The address of `path` (such as `chat/completions`) behind a base URL.
pub(super) fn endpoint(base_url: &Url, path: &str) -> Url {
    let mut url = base_url.clone();
    url.set_path(&format!("{}/{path}", base_url.path().trim_end_matches('/')));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_and_without_a_version_lead_to_the_same_place() {
        for (typed, chat) in [
            ("https://api.example.com", "https://api.example.com/v1/chat/completions"),
            ("https://api.example.com/", "https://api.example.com/v1/chat/completions"),
            ("https://api.example.com/v1", "https://api.example.com/v1/chat/completions"),
            (" https://api.example.com/v1/// ", "https://api.example.com/v1/chat/completions"),
            ("https://api.example.com/v1/chat/completions", "https://api.example.com/v1/chat/completions"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/chat/completions"),
            ("http://[::1]:8080/openai", "http://[::1]:8080/openai/v1/chat/completions"),
            ("https://example.com/api/paas/v4/", "https://example.com/api/paas/v4/chat/completions"),
            ("https://example.com/v1beta/openai", "https://example.com/v1beta/openai/chat/completions"),
            ("https://example.com/vendor", "https://example.com/vendor/v1/chat/completions"),
        ] {
            let base = parse(Kind::OpenAi, typed).unwrap_or_else(|key| panic!("{typed}: {key}"));
            assert_eq!(endpoint(&base, "chat/completions").as_str(), chat);
            assert!(!base.as_str().ends_with('/'));
            assert_eq!(parse(Kind::OpenAi, base.as_str()), Ok(base.clone()), "the stored form is its own");
        }
    }

    #[test]
    fn each_kind_has_its_own_version() {
        for (kind, typed, stored) in [
            (Kind::Anthropic, "https://api.anthropic.com", "https://api.anthropic.com/v1"),
            (Kind::Anthropic, "https://api.example.com/anthropic/v1/messages", "https://api.example.com/anthropic/v1"),
            (Kind::Gemini, "https://generativelanguage.googleapis.com/", "https://generativelanguage.googleapis.com/v1beta"),
            (Kind::Gemini, "https://generativelanguage.googleapis.com/v1/models", "https://generativelanguage.googleapis.com/v1"),
            (Kind::AzureOpenAi, "https://r.openai.azure.com", "https://r.openai.azure.com/"),
            (Kind::AzureOpenAi, "https://r.openai.azure.com/openai/v1/chat/completions", "https://r.openai.azure.com/"),
            (Kind::AzureOpenAi, "https://gate.example.com/azure/openai/", "https://gate.example.com/azure"),
        ] {
            let base = parse(kind, typed).unwrap_or_else(|key| panic!("{typed}: {key}"));
            assert_eq!(base.as_str(), stored);
            assert_eq!(parse(kind, stored), Ok(base), "the stored form is its own");
        }
        assert_eq!(endpoint(&parse(Kind::AzureOpenAi, "https://r.openai.azure.com").unwrap(), "openai/v1/responses").path(), "/openai/v1/responses");
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for (typed, key) in [
            ("", "field.required"),
            ("api.example.com", "channels.error.base_url"),
            ("ftp://example.com", "channels.error.base_url"),
            ("file:///etc/passwd", "channels.error.base_url"),
            ("https://", "channels.error.base_url"),
            ("https://user@example.com", "channels.error.base_url_credentials"),
            ("https://user:pass@example.com", "channels.error.base_url_credentials"),
            ("https://:pass@example.com", "channels.error.base_url_credentials"),
            ("https://example.com/?key=1", "channels.error.base_url_query"),
            ("https://example.com/#top", "channels.error.base_url_query"),
            (&format!("https://example.com/{}", "a".repeat(500)), "channels.error.base_url"),
        ] {
            assert_eq!(parse(Kind::OpenAi, typed), Err(key), "{typed}");
        }
    }
}
