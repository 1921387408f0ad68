//! The body of `count_tokens`: a request that need not say how long its answer may be.

use super::request_parse;
use crate::relay::dialect::canonical::{Request, Unfit};

/// Reads the body.
///
/// # Errors
/// As [`super::parse_request`], only that `max_tokens` may be missing.
pub fn parse_count(body: &[u8]) -> Result<Request, Unfit> {
    request_parse::parse(body, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_needs_no_cap() {
        let body = br#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
        assert_eq!(parse_count(body).unwrap().output_cap, None);
        assert_eq!(super::super::parse_request(body).unwrap_err().field, "max_tokens");
        assert_eq!(parse_count(br#"{"model":"m"}"#).unwrap_err().field, "messages");
    }
}
