//! What a caller of `/v1` is told when something is wrong: the case, its status, and its rendering in the caller's dialect.
//! Nothing internal is in it; the request id ties it to the log.

use super::dialect::canonical::Unfit;
use super::operation::Tongue;
use super::route::Skip;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::json;

/// An answer that is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: StatusCode,
    /// OpenAI's `type`.
    pub kind: &'static str,
    /// OpenAI's `code`.
    pub code: Option<&'static str>,
    /// OpenAI's `param`: the field that is wrong.
    pub param: Option<String>,
    /// For people: what is wrong and what to do.
    pub message: String,
    /// Seconds after which trying again makes sense.
    pub retry_after: Option<u32>,
    /// What else the answer carries, such as the state of a limit.
    pub headers: Option<Box<HeaderMap>>,
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status, kind, code, param: None, message: message.into(), retry_after: None, headers: None }
    }

    /// No key, an unknown one, or one that may not be used. One text for all, so that nobody learns which keys exist.
    pub fn invalid_key() -> Self {
        let message = "Incorrect API key provided, or the key is disabled or expired. You can find your keys on your account page.";
        Self::new(StatusCode::UNAUTHORIZED, "authentication_error", Some("invalid_api_key"), message)
    }

    /// The request itself is wrong.
    pub fn invalid(param: impl Into<Option<&'static str>>, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, message);
        error.param = param.into().map(str::to_owned);
        error
    }

    /// The request itself is wrong in this field.
    pub fn invalid_field(field: &str, message: impl Into<String>) -> Self {
        let mut error = Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", None, message);
        error.param = (!field.is_empty()).then(|| field.to_owned());
        error
    }

    /// No provider of the model has words for what is asked.
    pub fn unfit(unfit: Unfit) -> Self {
        Self { code: Some("unsupported_parameter"), ..Self::invalid_field(&unfit.field, unfit.message) }
    }

    /// The input, and the output that was asked for, are longer than the model's context.
    pub fn context_exceeded(limit: u64) -> Self {
        let message = format!(
            "This model has room for {limit} tokens, input and output together, and the request needs more. Send a shorter conversation or ask for less output."
        );
        Self { code: Some("context_length_exceeded"), ..Self::invalid_field("messages", message) }
    }

    /// The body is larger than `limit` bytes.
    pub fn too_large(limit: usize) -> Self {
        let message = format!("The request body is larger than {limit} bytes. Send a shorter conversation or smaller files.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "invalid_request_error", Some("request_too_large"), message)
    }

    /// The body did not arrive in time.
    pub fn body_timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "invalid_request_error", Some("request_timeout"), "The request body did not arrive in time.")
    }

    /// The balance is out.
    pub fn insufficient_balance(available: &str, top_up: &str) -> Self {
        let message = format!("Your balance of {available} does not cover this request. Add credit at {top_up} or ask for less output.");
        Self::new(StatusCode::PAYMENT_REQUIRED, "insufficient_quota", Some("insufficient_quota"), message)
    }

    /// The allowance of a plan is out that does not go on with the balance.
    pub fn plan_used_up(plan: &str, plans: &str) -> Self {
        let message = format!(
            "What is left of the allowance of your plan '{plan}' does not cover this request, and the plan stops when it is used up. See when it resets, or choose another plan, at {plans}."
        );
        Self::new(StatusCode::PAYMENT_REQUIRED, "insufficient_quota", Some("plan_used_up"), message)
    }

    /// The key's own total budget is out.
    pub fn key_budget(left: &str) -> Self {
        let message = format!("This key has {left} of its budget left, which does not cover this request. Use another key or raise its budget.");
        Self::new(StatusCode::PAYMENT_REQUIRED, "insufficient_quota", Some("key_budget_exhausted"), message)
    }

    /// The customer's own budget over all keys is out.
    pub fn account_budget(left: &str) -> Self {
        let message = format!("This account has {left} of its budget left, which does not cover this request. Raise the budget or wait for the next period.");
        Self::new(StatusCode::PAYMENT_REQUIRED, "insufficient_quota", Some("account_budget_exhausted"), message)
    }

    /// The budget of a day, a week or a month is out: it comes back by itself.
    pub fn period_budget(whose: &str, period: &str, left: &str, retry_after: u32) -> Self {
        let message =
            format!("The budget of {whose} has {left} left for {period}, which does not cover this request. Wait for the next period, or raise the budget.");
        Self { retry_after: Some(retry_after), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", Some("key_period_budget_exhausted"), message) }
    }

    /// No such model.
    pub fn unknown_model(model: &str) -> Self {
        let shown: String = model.chars().take(100).collect();
        let message = format!("The model '{shown}' does not exist here. GET /v1/models lists those that do.");
        let mut error = Self::new(StatusCode::NOT_FOUND, "invalid_request_error", Some("model_not_found"), message);
        error.param = Some("model".to_owned());
        error
    }

    /// The model has no price, so it cannot be sold.
    pub fn unpriced_model(model: &str) -> Self {
        let message = format!("The model '{model}' has no price yet and cannot be called.");
        let mut error = Self::new(StatusCode::FORBIDDEN, "permission_error", Some("model_not_priced"), message);
        error.param = Some("model".to_owned());
        error
    }

    /// The key may not call this model.
    pub fn model_not_allowed(model: &str) -> Self {
        let shown: String = model.chars().take(100).collect();
        let message = format!(
            "This key may not call the model '{shown}'. Use one that it may call (GET /v1/models lists them), or change the key's models on your account page, unless it is the shop that limits your account."
        );
        let mut error = Self::new(StatusCode::FORBIDDEN, "permission_error", Some("model_not_allowed"), message);
        error.param = Some("model".to_owned());
        error
    }

    /// The key may not be called from this address.
    pub fn ip_not_allowed(address: std::net::IpAddr) -> Self {
        let message = format!(
            "This key may not be called from {address}. Add the address to the key on your account page, or call from one that is allowed for the key and for your account."
        );
        Self::new(StatusCode::FORBIDDEN, "permission_error", Some("ip_not_allowed"), message)
    }

    /// A limit on requests, tokens or concurrency is reached.
    pub fn rate_limited(message: impl Into<String>, retry_after_ms: i64) -> Self {
        let mut error = Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", Some("rate_limit_exceeded"), message);
        let wait_ms = u32::try_from(retry_after_ms).unwrap_or(u32::MAX).max(1);
        error.retry_after = Some(wait_ms.div_ceil(1000));
        // Official SDKs look for the exact time first.
        error.with_header("retry-after-ms", HeaderValue::from(wait_ms))
    }

    /// No such key, request or range to tell about.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", Some("not_found"), message)
    }

    /// The same with more headers on the answer.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        if !headers.is_empty() {
            self.headers.get_or_insert_default().extend(headers);
        }
        self
    }

    /// The same with one header more.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.get_or_insert_default().insert(name, value);
        self
    }

    /// No such path.
    pub fn unknown_url(method: &str, path: &str) -> Self {
        let shown: String = path.chars().take(200).collect();
        Self::new(StatusCode::NOT_FOUND, "invalid_request_error", Some("unknown_url"), format!("Unknown request URL: {method} {shown}."))
    }

    /// The path exists, the method does not.
    pub fn wrong_method(method: &str, path: &str) -> Self {
        let shown: String = path.chars().take(200).collect();
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", Some("method_not_allowed"), format!("Not allowed: {method} {shown}."))
    }

    /// Nobody serves the model now.
    pub fn no_channel(model: &str) -> Self {
        let message = format!("No channel can serve the model '{model}' right now. Try again shortly.");
        Self { retry_after: Some(30), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "api_error", Some("no_channel"), message) }
    }

    /// Whoever serves the model lacks something that the request needs.
    pub fn incapable(model: &str, why: Skip) -> Self {
        let (param, what) = match why {
            Skip::Tools => ("tools", "tools"),
            Skip::Vision => ("messages", "images"),
            Skip::JsonSchema => ("response_format", "a JSON schema"),
            Skip::Streaming => ("stream", "streaming"),
            Skip::Context => ("messages", "an input of this length"),
            _ => ("model", "this kind of call"),
        };
        let message = format!("The model '{model}' cannot be used with {what} here. Leave it out, or choose another model.");
        Self { code: Some("unsupported"), ..Self::invalid_field(param, message) }
    }

    /// Everyone who serves the model failed.
    pub fn upstream_failed() -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "api_error", Some("upstream_error"), "The upstream provider failed. Nothing was charged; try again.")
    }

    /// Everyone who serves the model took too long.
    pub fn upstream_timeout() -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "api_error",
            Some("upstream_error"),
            "The upstream provider did not answer in time. Nothing was charged; try again.",
        )
    }

    /// The stream broke after its first byte.
    pub fn stream_broke() -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "api_error",
            Some("upstream_error"),
            "The upstream provider broke off the stream. Only what was delivered is charged.",
        )
    }

    /// Our own fault.
    pub fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "api_error", Some("internal_error"), "Something went wrong on our side. Nothing was charged; try again.")
    }

    /// The node is going down, or its database is away.
    pub fn unavailable() -> Self {
        Self {
            retry_after: Some(5),
            ..Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "api_error",
                Some("unavailable"),
                "The service is restarting or its database is away. Try again shortly.",
            )
        }
    }

    /// The bodies of other requests take all the room that there is for them.
    pub fn crowded() -> Self {
        let message = "Too many large requests are under way. Try again shortly.";
        Self { retry_after: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "api_error", Some("unavailable"), message) }
    }

    /// Anthropic's `type`.
    fn anthropic_kind(&self) -> &'static str {
        match (self.status.as_u16(), self.code) {
            (402, _) => "billing_error",
            (413, _) => "request_too_large",
            (404, _) => "not_found_error",
            (503, _) => "overloaded_error",
            _ => self.kind,
        }
    }

    /// Google's `status` (<https://cloud.google.com/apis/design/errors>).
    fn google_status(&self) -> &'static str {
        match self.status.as_u16() {
            400 | 405 | 413 => "INVALID_ARGUMENT",
            401 => "UNAUTHENTICATED",
            402 => "FAILED_PRECONDITION",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            408 | 504 => "DEADLINE_EXCEEDED",
            429 => "RESOURCE_EXHAUSTED",
            503 => "UNAVAILABLE",
            _ => "INTERNAL",
        }
    }

    /// The body in the caller's dialect.
    pub fn to_json(&self, tongue: Tongue, request_id: &str) -> String {
        match tongue {
            Tongue::OpenAi => json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}),
            Tongue::Anthropic => {
                json!({"type": "error", "error": {"type": self.anthropic_kind(), "message": self.message}, "request_id": request_id})
            }
            Tongue::Gemini => json!({"error": {"code": self.status.as_u16(), "message": self.message, "status": self.google_status()}}),
        }
        .to_string()
    }

    /// The whole HTTP answer in the caller's dialect.
    pub fn into_response(self, tongue: Tongue, request_id: &str) -> Response<Body> {
        let mut response = Response::new(Body::from(self.to_json(tongue, request_id)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.extend(self.headers.into_iter().flat_map(|more| *more));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anthropics_clients_hear_of_each_case_in_their_words() {
        for (error, kind) in [
            (ApiError::upstream_timeout(), "api_error"),
            (ApiError::upstream_failed(), "api_error"),
            (ApiError::no_channel("m"), "overloaded_error"),
            (ApiError::insufficient_balance("$0", "https://shop"), "billing_error"),
            (ApiError::too_large(1), "request_too_large"),
            (ApiError::unknown_model("m"), "not_found_error"),
            (ApiError::invalid_key(), "authentication_error"),
            (ApiError::rate_limited("wait", 1), "rate_limit_error"),
        ] {
            let body: serde_json::Value = serde_json::from_str(&error.to_json(Tongue::Anthropic, "r")).unwrap();
            assert_eq!((&body["error"]["type"], &body["request_id"]), (&json!(kind), &json!("r")));
        }
    }
}
