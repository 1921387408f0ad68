//! Where a request goes: the dialect that its path speaks, what it asks for there, and the forms that errors take.

use super::job::{Job, Reply};
use super::prompt::{Prompt, Refused};
use super::{anthropic, gemini, openai};
use axum::http::{HeaderMap, Method, Uri};
use serde_json::{Value, json};

/// How a caller speaks: decides where the key stands and what an error looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// OpenAI and everything compatible with it.
    OpenAi,
    /// OpenAI as Azure serves it: other paths, another header for the key, content filter results.
    Azure,
    /// Anthropic.
    Anthropic,
    /// Google's Gemini API.
    Gemini,
}

/// What a path is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is the path of its name
pub enum Task {
    Chat,
    Completions,
    Responses,
    Embeddings,
    Moderations,
    ImageGenerations,
    ImageEdits,
    Speech,
    Transcriptions,
    Translations,
    Rerank,
    RerankV2,
    Messages,
    CountMessages,
    Generate,
    StreamGenerate,
    CountContents,
    EmbedContent,
    BatchEmbedContents,
    Models,
    Model,
}

/// Where a caller's key stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// Nowhere.
    None,
    /// `Authorization: Bearer`.
    Bearer,
    /// `x-api-key` (Anthropic).
    XApiKey,
    /// `api-key` (Azure).
    ApiKey,
    /// `x-goog-api-key` (Gemini).
    XGoogApiKey,
    /// `?key=` (Gemini).
    Query,
}

/// A request's destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub dialect: Dialect,
    pub task: Task,
    /// The model, where the path names it.
    pub model: Option<String>,
    /// `alt=sse` (Gemini).
    pub sse: bool,
    /// Azure's older paths need an `api-version`, and this request has none.
    pub lacks_version: bool,
}

impl Call {
    /// The destination of a request; none when nothing answers there.
    pub fn find(method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        let path = percent_decoded(uri.path());
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let mut call = if method == Method::GET { Self::listing(&parts, uri, headers)? } else { Self::asking(&parts)? };
        call.sse = query(uri, "alt").as_deref() == Some("sse");
        call.lacks_version &= query(uri, "api-version").is_none_or(|version| version.is_empty());
        (method == Method::GET || method == Method::POST).then_some(call)
    }

    fn new(dialect: Dialect, task: Task) -> Self {
        Self { dialect, task, model: None, sse: false, lacks_version: false }
    }

    fn listing(parts: &[&str], uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        let common = match () {
            () if headers.contains_key("anthropic-version") => Dialect::Anthropic,
            () if headers.contains_key("x-goog-api-key") || query(uri, "key").is_some() => Dialect::Gemini, // its newer SDKs speak /v1
            () => Dialect::OpenAi,
        };
        let (dialect, versioned, rest) = match parts {
            ["v1", "models", rest @ ..] => (common, false, rest),
            ["v1beta", "models", rest @ ..] => (Dialect::Gemini, false, rest),
            ["openai", "v1", "models", rest @ ..] => (Dialect::Azure, false, rest),
            ["openai", "models", rest @ ..] => (Dialect::Azure, true, rest),
            _ => return None,
        };
        let model = (!rest.is_empty()).then(|| rest.join("/"));
        let task = if model.is_some() { Task::Model } else { Task::Models };
        Some(Self { model, lacks_version: versioned, ..Self::new(dialect, task) })
    }

    fn asking(parts: &[&str]) -> Option<Self> {
        match parts {
            ["v1" | "v1beta", "models", target @ ..] => Self::of_gemini(&target.join("/")),
            ["v1", "messages"] => Some(Self::new(Dialect::Anthropic, Task::Messages)),
            ["v1", "messages", "count_tokens"] => Some(Self::new(Dialect::Anthropic, Task::CountMessages)),
            ["v2", "rerank"] => Some(Self::new(Dialect::OpenAi, Task::RerankV2)),
            ["v1", rest @ ..] => Some(Self::new(Dialect::OpenAi, openai_task(rest)?)),
            ["openai", "v1", rest @ ..] => Some(Self::new(Dialect::Azure, openai_task(rest)?)),
            ["openai", "deployments", name, rest @ ..] => {
                Some(Self { model: Some((*name).to_owned()), lacks_version: true, ..Self::new(Dialect::Azure, openai_task(rest)?) })
            }
            ["openai", "responses"] => Some(Self { lacks_version: true, ..Self::new(Dialect::Azure, Task::Responses) }),
            _ => None,
        }
    }

    fn of_gemini(target: &str) -> Option<Self> {
        let (model, verb) = target.rsplit_once(':')?;
        let task = match verb {
            "generateContent" => Task::Generate,
            "streamGenerateContent" => Task::StreamGenerate,
            "countTokens" => Task::CountContents,
            "embedContent" => Task::EmbedContent,
            "batchEmbedContents" => Task::BatchEmbedContents,
            _ => return None,
        };
        Some(Self { model: Some(model.to_owned()), ..Self::new(Dialect::Gemini, task) })
    }

    /// Reads a request.
    pub fn parse(&self, headers: &HeaderMap, body: &Value) -> Result<Prompt, Refused> {
        let mut body = body.clone();
        if let Some(model) = self.model.as_ref().filter(|_| body.is_object()) {
            body["model"] = json!(model); // Azure lets the path win as well
        }
        match self.task {
            Task::Messages => anthropic::parse(headers, &body),
            Task::CountMessages => anthropic::parse_count(headers, &body),
            Task::Generate => gemini::parse(&body, false),
            Task::StreamGenerate => gemini::parse(&body, true),
            Task::CountContents => gemini::parse_count(&body),
            Task::EmbedContent | Task::BatchEmbedContents => gemini::embed::parse(&body),
            task => openai::parse(task, &body),
        }
    }

    /// What is handed over for it.
    pub fn reply(&self, job: &Job<'_>) -> Reply {
        match self.task {
            Task::Messages => anthropic::reply(job),
            Task::CountMessages => anthropic::count(job),
            Task::Generate | Task::StreamGenerate => gemini::reply(job),
            Task::CountContents => gemini::count(job),
            Task::EmbedContent => gemini::embed::one(job),
            Task::BatchEmbedContents => gemini::embed::many(job),
            task => openai::reply(task, job),
        }
    }

    /// What a strict provider says against a history or against fields that it does not know.
    pub fn objection(&self, body: &Value) -> Option<Refused> {
        match self.task {
            Task::Chat => openai::strict::chat(body),
            Task::Responses => openai::strict::responses(body),
            Task::Messages | Task::CountMessages => anthropic::strict::objection(body),
            Task::Generate | Task::StreamGenerate => gemini::strict::objection(body),
            _ => None,
        }
    }

    /// The list of models, or one of them.
    pub fn models(&self, names: &[&str], created: i64) -> Value {
        match (self.dialect, &self.model) {
            (Dialect::OpenAi | Dialect::Azure, None) => openai::models(names, created),
            (Dialect::OpenAi | Dialect::Azure, Some(name)) => openai::model(name, created),
            (Dialect::Anthropic, None) => anthropic::models(names),
            (Dialect::Anthropic, Some(name)) => anthropic::model(name),
            (Dialect::Gemini, None) => json!({"models": names.iter().map(|name| gemini::model(name)).collect::<Vec<_>>()}),
            (Dialect::Gemini, Some(name)) => gemini::model(name),
        }
    }

    /// The status and the body of the answer to a caller without the right key.
    pub fn stranger(&self, auth: Auth) -> (u16, Value) {
        match self.dialect {
            Dialect::Gemini => self.in_array(gemini::stranger(auth)),
            _ => (401, self.error(401, "", None)),
        }
    }

    /// An error answer as the real providers word it.
    pub fn error(&self, status: u16, model: &str, retry_after: Option<u64>) -> Value {
        match self.dialect {
            Dialect::OpenAi => openai::error(status, model),
            Dialect::Azure => openai::azure::error(status, model, retry_after),
            Dialect::Anthropic => anthropic::error(status, model),
            Dialect::Gemini => self.in_array((status, gemini::error(status, model, retry_after))).1,
        }
    }

    /// The status and the body of the answer to a request that is wrong in itself.
    pub fn refusal(&self, refused: &Refused) -> (u16, Value) {
        match self.dialect {
            Dialect::OpenAi | Dialect::Azure => (refused.status, openai::refusal(refused)),
            Dialect::Anthropic => (refused.status, anthropic::refusal(refused)),
            Dialect::Gemini => self.in_array((400, gemini::refusal(refused))),
        }
    }

    /// An error in the middle of a stream, behind so many frames, of which this was the first.
    pub fn error_event(&self, overload: bool, position: usize, first: &str) -> String {
        match (self.dialect, self.task) {
            (_, Task::Responses) => openai::responses_stream::error_event(overload, position, first),
            (Dialect::OpenAi | Dialect::Azure, _) => format!("data: {}\n\n", openai::error(if overload { 503 } else { 500 }, "")),
            (Dialect::Anthropic, _) => format!("event: error\ndata: {}\n\n", anthropic::error(if overload { 529 } else { 500 }, "")),
            (Dialect::Gemini, _) => gemini::error_event(self.sse, if overload { 503 } else { 500 }),
        }
    }

    /// A stream that is a JSON array wraps its errors in one as well.
    fn in_array(&self, (status, error): (u16, Value)) -> (u16, Value) {
        if self.task == Task::StreamGenerate && !self.sse { (status, json!([error])) } else { (status, error) }
    }

    /// The key that a caller of this dialect sent, and where.
    pub fn key(&self, uri: &Uri, headers: &HeaderMap) -> (Auth, Option<String>) {
        let places: &[Auth] = match self.dialect {
            Dialect::OpenAi => &[Auth::Bearer],
            Dialect::Azure => &[Auth::ApiKey, Auth::Bearer],
            Dialect::Anthropic => &[Auth::XApiKey, Auth::Bearer],
            Dialect::Gemini => &[Auth::XGoogApiKey, Auth::Query, Auth::Bearer],
        };
        places.iter().find_map(|auth| Some((*auth, Some(auth.key(uri, headers)?)))).unwrap_or((Auth::None, None))
    }
}

impl Auth {
    fn key(self, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        match self {
            Self::None => None,
            Self::Bearer => text("authorization")?.strip_prefix("Bearer ").map(str::to_owned),
            Self::XApiKey => text("x-api-key"),
            Self::ApiKey => text("api-key"),
            Self::XGoogApiKey => text("x-goog-api-key"),
            Self::Query => query(uri, "key"),
        }
    }
}

fn openai_task(rest: &[&str]) -> Option<Task> {
    Some(match rest {
        ["chat", "completions"] => Task::Chat,
        ["completions"] => Task::Completions,
        ["responses"] => Task::Responses,
        ["embeddings"] => Task::Embeddings,
        ["moderations"] => Task::Moderations,
        ["images", "generations"] => Task::ImageGenerations,
        ["images", "edits"] => Task::ImageEdits,
        ["audio", "speech"] => Task::Speech,
        ["audio", "transcriptions"] => Task::Transcriptions,
        ["audio", "translations"] => Task::Translations,
        ["rerank"] => Task::Rerank,
        _ => return None,
    })
}

/// A parameter of the query.
pub(super) fn query(uri: &Uri, name: &str) -> Option<String> {
    url::form_urlencoded::parse(uri.query()?.as_bytes()).find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// The path with its `%xx` undone.
fn percent_decoded(path: &str) -> String {
    let mut parts = path.split('%');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                out.extend(&part.as_bytes()[2..]);
            }
            None => out.extend([b"%", part.as_bytes()].concat()),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
