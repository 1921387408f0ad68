//! The pause that an upstream asks for before it is asked again.
//!
//! In headers: `retry-after` in seconds or as a date (RFC 9110, 10.2.3), `retry-after-ms` of OpenAI and Azure. In the body: Google's
//! `google.rpc.RetryInfo`, whose `retryDelay` is a protobuf duration in JSON, such as `37s` or `0.847655010s`.

use reqwest::header::HeaderMap;
use serde_json::Value;
use std::time::Duration;

/// The longest pause that an upstream may ask for.
const MAX: Duration = Duration::from_secs(3600);

/// What the headers of an answer ask for.
pub fn in_headers(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let millis = || text("retry-after-ms").and_then(|text| decimal(text, 1_000_000));
    let seconds = || text("retry-after").and_then(|text| decimal(text, 1_000_000_000));
    let until = || {
        let date = |name: &str| text(name).and_then(|text| jiff::fmt::rfc2822::parse(text).ok());
        // Between two times of the upstream's own, so that its clock need not be ours.
        let (at, now) = (date("retry-after")?, date("date")?);
        Duration::try_from(at.timestamp().duration_since(now.timestamp())).ok()
    };
    millis().or_else(seconds).or_else(until).map(|pause| pause.min(MAX))
}

/// What an error's body asks for.
pub fn in_body(body: &[u8]) -> Option<Duration> {
    let parsed: Value = serde_json::from_slice(body).ok()?;
    // Google wraps an error in a list when a stream was asked for.
    let details = parsed.get(0).unwrap_or(&parsed).get("error")?.get("details")?.as_array()?;
    let is_pause = |detail: &&Value| detail.get("@type").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("google.rpc.RetryInfo"));
    let delay = details.iter().find(is_pause)?.get("retryDelay")?.as_str()?;
    decimal(delay.trim().strip_suffix('s')?, 1_000_000_000).map(|pause| pause.min(MAX))
}

/// A number that may have a fraction, each of its ones so many nanoseconds; anything below a nanosecond is left out.
fn decimal(text: &str, unit: u64) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.len() <= 18 && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let nanos = fraction.bytes().fold((0, unit), |(nanos, unit), digit| (nanos + u64::from(digit - b'0') * (unit / 10), unit / 10)).0;
    Some(Duration::from_nanos(whole.saturating_mul(unit).saturating_add(nanos)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Names and values.
    type Pairs<'a> = &'a [(&'static str, &'a str)];

    fn headers(pairs: Pairs<'_>) -> HeaderMap {
        HeaderMap::from_iter(pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())))
    }

    #[test]
    fn headers_say_it_in_three_ways() {
        const DATE: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let cases: [(Pairs<'_>, Option<u64>); 16] = [
            (&[], None),
            (&[("retry-after", "37")], Some(37_000)),
            (&[("retry-after", " 0 ")], Some(0)),
            (&[("retry-after", "1.5")], Some(1_500)),
            (&[("retry-after", "999999999999999999")], Some(3_600_000)),
            (&[("retry-after", "9999999999999999999999")], None),
            (&[("retry-after", "-5")], None),
            (&[("retry-after", "+5")], None),
            (&[("retry-after", "soon")], None),
            (&[("retry-after-ms", "250"), ("retry-after", "1")], Some(250)),
            (&[("retry-after-ms", "250.75")], Some(250)),
            (&[("retry-after-ms", "x"), ("retry-after", "2")], Some(2_000)),
            (&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT"), DATE], Some(60_000)),
            (&[("retry-after", "Sun, 06 Nov 1994 08:49:00 GMT"), DATE], None),
            (&[("retry-after", "Sun, 06 Nov 1994 08:50:37 GMT")], None),
            (&[("retry-after", "Sat, 06 Nov 2094 08:50:37 GMT"), DATE], Some(3_600_000)),
        ];
        for (given, expected) in cases {
            assert_eq!(in_headers(&headers(given)).map(|pause| pause.as_millis() as u64), expected, "{given:?}");
        }
    }

    #[test]
    fn google_says_it_in_the_body() {
        let body = |delay: Value| {
            json!({"error": {"code": 429, "details": [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "retryDelay": "1s"},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
            ]}})
        };
        let cases = [
            (json!("37s"), Some(37_000)),
            (json!("0.847655010s"), Some(847)),
            (json!("100000000s"), Some(3_600_000)),
            (json!("-1s"), None),
            (json!("s"), None),
            (json!("37"), None),
            (json!(37), None),
        ];
        for (delay, expected) in cases {
            let body = body(delay.clone());
            for body in [body.clone(), json!([body])] {
                assert_eq!(in_body(body.to_string().as_bytes()).map(|pause| pause.as_millis() as u64), expected, "{delay}");
            }
        }
        for other in ["", "[]", "{\"error\":\"x\"}", "{\"error\":{\"details\":{}}}", "<html>"] {
            assert_eq!(in_body(other.as_bytes()), None);
        }
    }
}
