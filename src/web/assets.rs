//! Stylesheets and scripts, embedded in the program. A URL carries the file's hash, so that browsers keep it for a year.

use axum::extract::{Path, Query};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;

#[derive(rust_embed::RustEmbed)]
#[folder = "static/"]
struct Files;

/// Where a page finds `path`, with the hash of what it says now.
pub fn url(path: &str) -> String {
    match Files::get(path) {
        Some(file) => format!("/static/{path}?v={}", version(&file)),
        None => format!("/static/{path}"),
    }
}

fn version(file: &rust_embed::EmbeddedFile) -> String {
    HEXLOWER.encode(&file.metadata.sha256_hash()[..8])
}

/// The version that the URL asks for.
#[derive(serde::Deserialize)]
pub struct Asked {
    v: Option<String>,
}

/// `GET /static/{*path}`
pub async fn serve(Path(path): Path<String>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response {
    let Some(file) = Files::get(&path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let version = version(&file);
    // A URL without the present hash may come from a page of another version of the shop: it must ask again each time.
    let caching = if asked.v.as_ref() == Some(&version) { "public, max-age=31536000, immutable" } else { "no-cache" };
    let etag = format!("\"{version}\"");
    let kept = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).is_some_and(|tags| tags.contains(&etag));
    let common = [(header::CACHE_CONTROL, caching.to_owned()), (header::ETAG, etag)];
    if kept {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let kind = HeaderValue::from_str(&content_type(file.metadata.mimetype())).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    (common, [(header::CONTENT_TYPE, kind)], file.data.into_owned()).into_response()
}

fn content_type(mime: &str) -> String {
    if mime.starts_with("text/") { format!("{mime}; charset=utf-8") } else { mime.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(path: &str, version: Option<&str>, etag: Option<&str>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(etag) = etag {
            headers.insert(header::IF_NONE_MATCH, etag.parse().unwrap());
        }
        serve(Path(path.to_owned()), Query(Asked { v: version.map(str::to_owned) }), headers).await
    }

    #[tokio::test]
    async fn files_are_kept_for_a_year_under_their_hash_and_revalidated_without() {
        let url = url("app.css");
        let version = url.split("?v=").nth(1).expect("a hash");
        let answer = get("app.css", Some(version), None).await;
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "text/css; charset=utf-8");
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        let etag = answer.headers()[header::ETAG].to_str().unwrap().to_owned();
        let stale = get("app.css", Some("0000"), None).await;
        assert_eq!(stale.headers()[header::CACHE_CONTROL], "no-cache");
        assert_eq!(get("app.css", None, Some(&etag)).await.status(), StatusCode::NOT_MODIFIED);
    }

    #[tokio::test]
    async fn nothing_outside_the_folder_is_served() {
        for path in ["../Cargo.toml", "vendor", "nothing.css", ""] {
            assert_eq!(get(path, None, None).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
