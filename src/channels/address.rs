//! The addresses of a channel's endpoints, by its kind. Those that do not depend on the model are made once.

use super::base_url::endpoint;
use super::channel::Target;
use super::dialect::{Dialect, Kind};
use std::borrow::Cow;
use url::Url;

/// The endpoints of one channel.
#[derive(Debug)]
pub(super) struct Addresses {
    kind: Kind,
    base_url: Url,
    chat: Url,
    responses: Url,
    messages: Url,
    azure_api_version: Option<String>,
}

/// How Azure names a version under which its API is laid out as OpenAI's.
const AZURE_VERSIONLESS: [&str; 3] = ["", "preview", "latest"];

impl Addresses {
    pub(super) fn new(kind: Kind, base_url: &Url, azure_api_version: Option<&str>) -> Self {
        let (base_url, azure_api_version) = match (kind, azure_api_version.unwrap_or_default()) {
            (Kind::AzureOpenAi, version) if AZURE_VERSIONLESS.contains(&version) => {
                let mut base = endpoint(base_url, "openai/v1");
                // The query stays when a path is put behind it.
                base.set_query((!version.is_empty()).then(|| format!("api-version={version}")).as_deref());
                (base, None)
            }
            (Kind::AzureOpenAi, version) => (base_url.clone(), Some(version.to_owned())),
            _ => (base_url.clone(), None),
        };
        let at = |path: &str| endpoint(&base_url, path);
        let (chat, messages) = (at("chat/completions"), at("messages"));
        let responses = match &azure_api_version {
            Some(version) => dated(at("openai/responses"), version),
            None => at("responses"),
        };
        Self { kind, chat, responses, messages, base_url, azure_api_version }
    }

    /// The address for what is asked of a model.
    pub(super) fn of(&self, target: Target<'_>, model: &str, streaming: bool) -> Cow<'_, Url> {
        match (target, &self.azure_api_version) {
            (Target::Chat(Dialect::Chat), Some(version)) => Cow::Owned(self.deployment(model, "chat/completions", version)),
            (Target::OpenAi("responses") | Target::Chat(Dialect::Responses), _) => Cow::Borrowed(&self.responses),
            (Target::OpenAi(path), Some(version)) => Cow::Owned(self.deployment(model, path, version)),
            (Target::Chat(Dialect::Chat), None) => Cow::Borrowed(&self.chat),
            (Target::Chat(Dialect::Messages), _) => Cow::Borrowed(&self.messages),
            (Target::OpenAi(path), None) => Cow::Owned(endpoint(&self.base_url, path)),
            (Target::Chat(Dialect::Gemini), _) if streaming => {
                let mut url = self.gemini(model, "streamGenerateContent");
                url.set_query(Some("alt=sse"));
                Cow::Owned(url)
            }
            (Target::Chat(Dialect::Gemini), _) => Cow::Owned(self.gemini(model, "generateContent")),
            (Target::Gemini(method), _) => Cow::Owned(self.gemini(model, method)),
        }
    }

    /// Azure's layout under a dated version: the model is a deployment in the path.
    fn deployment(&self, model: &str, path: &str, version: &str) -> Url {
        let mut url = endpoint(&self.base_url, "openai/deployments");
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(model).extend(path.split('/'));
        }
        dated(url, version)
    }

    fn gemini(&self, model: &str, method: &str) -> Url {
        debug_assert_eq!(self.kind, Kind::Gemini);
        let mut url = self.base_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
            // A tuned model brings its collection along; others are in "models".
            if !model.starts_with("models/") && !model.starts_with("tunedModels/") {
                segments.push("models");
            }
            segments.extend(format!("{model}:{method}").split('/'));
        }
        url
    }
}

fn dated(mut url: Url, version: &str) -> Url {
    url.query_pairs_mut().append_pair("api-version", version);
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(kind: Kind, base: &str, version: Option<&str>) -> Addresses {
        Addresses::new(kind, &Url::parse(base).unwrap(), version)
    }

    fn at(addresses: &Addresses, target: Target<'_>) -> String {
        addresses.of(target, "m/1", false).to_string()
    }

    #[test]
    fn openai_and_anthropic() {
        let openai = addresses(Kind::OpenAi, "https://a.example/v1", None);
        assert_eq!(at(&openai, Target::Chat(Dialect::Chat)), "https://a.example/v1/chat/completions");
        assert_eq!(at(&openai, Target::Chat(Dialect::Responses)), "https://a.example/v1/responses");
        assert_eq!(at(&openai, Target::Chat(Dialect::Messages)), "https://a.example/v1/messages");
        assert_eq!(at(&openai, Target::OpenAi("images/generations")), "https://a.example/v1/images/generations");
        let anthropic = addresses(Kind::Anthropic, "https://b.example/v1", None);
        assert_eq!(at(&anthropic, Target::Chat(Dialect::Messages)), "https://b.example/v1/messages");
    }

    #[test]
    fn gemini_has_the_model_in_the_path() {
        let gemini = addresses(Kind::Gemini, "https://g.example/v1beta", None);
        let of = |model: &str, streaming| gemini.of(Target::Chat(Dialect::Gemini), model, streaming).to_string();
        assert_eq!(of("gemini-pro", false), "https://g.example/v1beta/models/gemini-pro:generateContent");
        assert_eq!(of("gemini-pro", true), "https://g.example/v1beta/models/gemini-pro:streamGenerateContent?alt=sse");
        assert_eq!(of("tunedModels/x", false), "https://g.example/v1beta/tunedModels/x:generateContent");
        assert_eq!(of("../a?b#c", false), "https://g.example/v1beta/models/a%3Fb%23c:generateContent", "a name cannot leave its place");
        assert_eq!(at(&gemini, Target::Gemini("embedContent")), "https://g.example/v1beta/models/m/1:embedContent");
    }

    #[test]
    fn azure_is_laid_out_by_its_version() {
        let plain = addresses(Kind::AzureOpenAi, "https://r.example/", None);
        assert_eq!(at(&plain, Target::Chat(Dialect::Chat)), "https://r.example/openai/v1/chat/completions");
        assert_eq!(at(&plain, Target::Chat(Dialect::Responses)), "https://r.example/openai/v1/responses");
        assert_eq!(at(&plain, Target::OpenAi("embeddings")), "https://r.example/openai/v1/embeddings");
        let preview = addresses(Kind::AzureOpenAi, "https://r.example/", Some("preview"));
        assert_eq!(at(&preview, Target::Chat(Dialect::Responses)), "https://r.example/openai/v1/responses?api-version=preview");
        assert_eq!(at(&preview, Target::OpenAi("embeddings")), "https://r.example/openai/v1/embeddings?api-version=preview");
        let dated = addresses(Kind::AzureOpenAi, "https://r.example/gate", Some("2024-10-21"));
        assert_eq!(at(&dated, Target::Chat(Dialect::Chat)), "https://r.example/gate/openai/deployments/m%2F1/chat/completions?api-version=2024-10-21");
        assert_eq!(at(&dated, Target::OpenAi("embeddings")), "https://r.example/gate/openai/deployments/m%2F1/embeddings?api-version=2024-10-21");
        assert_eq!(at(&dated, Target::Chat(Dialect::Responses)), "https://r.example/gate/openai/responses?api-version=2024-10-21");
    }
}
