//! What a caller of `/v1` is told when something is wrong: the case, its status, and its rendering in the caller's dialect.
//! Nothing internal is in it; the request id ties it to the log.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
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
}

impl ApiError {
    fn new(status: StatusCode, kind: &'static str, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status, kind, code, param: None, message: message.into(), retry_after: None }
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

    /// `{"error":{"message","type","param","code"}}`
    pub fn to_openai_json(&self) -> String {
        json!({"error": {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}}).to_string()
    }

    /// The whole HTTP answer in OpenAI's dialect.
    pub fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.to_openai_json()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
