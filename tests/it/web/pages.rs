//! What every page carries, what is not there, and languages.

use super::{Visitor, location};
use crate::harness::TestApp;
use farebox::kernel::Usd;
use reqwest::{Method, StatusCode};

#[tokio::test]
async fn every_answer_of_the_site_has_the_security_headers() {
    let shop = TestApp::new().await;
    let guest = Visitor::new(&shop);
    for path in ["/", "/log-in", "/nothing", "/account", "/static/app.css"] {
        let answer = guest.get(path).await;
        let headers = answer.headers();
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(headers["referrer-policy"], "same-origin", "{path}");
        assert!(!headers.contains_key("strict-transport-security"), "{path}: this shop is not behind https");
        if !path.starts_with("/static") {
            assert!(headers.contains_key("x-request-id"), "{path}");
            assert_eq!(headers["cache-control"], "no-store", "{path}");
        }
    }
    shop.finish().await;
}

#[tokio::test]
async fn what_is_not_there_is_a_page_that_tells_nothing_else() {
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::ZERO).await;
    let visitor = Visitor::logged_in(&shop, &customer.user).await;
    let missing = [
        (Method::GET, "/nothing", StatusCode::NOT_FOUND),
        (Method::GET, "/static/nothing.css", StatusCode::NOT_FOUND),
        (Method::GET, "/account/requests?before=x", StatusCode::NOT_FOUND),
        (Method::GET, "/account/keys/x/delete", StatusCode::NOT_FOUND),
        (Method::GET, "/account/keys/0000000000001/delete", StatusCode::NOT_FOUND),
        (Method::DELETE, "/account", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/account/redeem", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/admin", StatusCode::FORBIDDEN),
    ];
    for (method, path, status) in missing {
        let answer = visitor.request(method.clone(), path).send().await.unwrap();
        assert_eq!(answer.status(), status, "{method} {path}");
        let text = answer.text().await.unwrap();
        assert!(path.starts_with("/static") || text.matches("<h1").count() == 1, "{method} {path}: {text}");
        for leak in ["axum", "sqlx", "Failed to deserialize", "src/"] {
            assert!(!text.contains(leak), "{method} {path}: {text}");
        }
    }
    let whole = visitor.request(Method::GET, "/nothing").header("hx-request", "true").send().await.unwrap();
    assert_eq!(whole.headers()["hx-retarget"], "body", "a problem takes the whole page, not a part of it");
    shop.finish().await;
}

#[tokio::test]
async fn the_language_is_the_accounts_else_the_cookies_else_the_browsers() {
    let shop = TestApp::new().await;
    let speaks = |page: &str| if page.contains("<html lang=\"zh-Hans\"") { "zh" } else { "en" };
    let chinese = |visitor: &Visitor, path: &str| visitor.request(Method::GET, path).header("accept-language", "zh-CN,zh;q=0.9").send();
    let guest = Visitor::new(&shop);
    assert_eq!(speaks(&guest.read("/").await), "en");
    assert_eq!(speaks(&chinese(&guest, "/").await.unwrap().text().await.unwrap()), "zh");
    let answer = guest.submit("/", "/language", &[("language", "en"), ("next", "/sign-up")]).await;
    assert_eq!(location(&answer), "/sign-up");
    assert_eq!(speaks(&chinese(&guest, "/").await.unwrap().text().await.unwrap()), "en", "the cookie comes before the browser");

    let customer = shop.customer(Usd::ZERO).await;
    let visitor = Visitor::logged_in(&shop, &customer.user).await;
    visitor.submit("/account", "/language", &[("language", "zh"), ("next", "//evil.example")]).await;
    let elsewhere = Visitor::logged_in(&shop, &customer.user).await;
    assert_eq!(speaks(&elsewhere.read("/account").await), "zh", "the account remembers on every device");
    assert_eq!(speaks(&Visitor::new(&shop).read("/").await), "en");
    shop.finish().await;
}

#[tokio::test]
async fn pages_and_files_are_compressed_and_files_are_kept() {
    let shop = TestApp::new().await;
    let guest = Visitor::new(&shop);
    let page = guest.read("/").await;
    let css = page.split("href=\"").find(|rest| rest.contains("app.css?v=")).and_then(|rest| rest.split('"').next()).expect("a stylesheet");
    for (path, encoding) in [("/", "gzip"), ("/", "br"), (css, "br"), (css, "gzip")] {
        let answer = guest.request(Method::GET, path).header("accept-encoding", encoding).send().await.unwrap();
        assert_eq!(answer.headers()["content-encoding"], encoding, "{path}");
    }
    let kept = guest.get(css).await;
    assert_eq!(kept.headers()["cache-control"], "public, max-age=31536000, immutable");
    let again = guest.request(Method::GET, css).header("if-none-match", &kept.headers()["etag"]).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    shop.finish().await;
}
