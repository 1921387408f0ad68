//! Who gets in, and what a form must bring.

use super::{PASSWORD, Visitor, field, first_key, location, owner};
use crate::harness::TestApp;
use farebox::kernel::Usd;
use reqwest::{Method, StatusCode};

#[tokio::test]
async fn a_page_that_was_asked_for_comes_after_log_in_and_no_other_site() {
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::ZERO).await;
    let visitor = Visitor::new(&shop);
    assert_eq!(location(&visitor.get("/account/requests?before=0000000000001").await), "/log-in?next=%2Faccount%2Frequests%3Fbefore%3D0000000000001");
    let shown = visitor.read("/log-in?next=%2Faccount%2Fkeys").await;
    assert_eq!(field(&shown, "next"), "/account/keys");
    for (next, lands) in [("/account/keys", "/account/keys"), ("//evil.example", "/account"), ("https://evil.example", "/account"), ("", "/account")] {
        let answer = Visitor::new(&shop).log_in(&customer.user.email, next).await;
        assert_eq!(location(&answer), lands, "{next}");
    }
    shop.finish().await;
}

#[tokio::test]
async fn a_form_without_its_sessions_token_or_from_another_site_does_nothing() {
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::ZERO).await;
    let (visitor, other) = (Visitor::logged_in(&shop, &customer.user).await, Visitor::logged_in(&shop, &customer.user).await);
    let disable = format!("/account/keys/{}/disable", first_key(&shop, &customer.user).await);
    let foreign = other.token("/account").await;
    for token in ["", "x", foreign.as_str()] {
        assert_eq!(visitor.post(&disable, &[("csrf", token)]).await.status(), StatusCode::FORBIDDEN, "{token}");
    }
    let token = visitor.token("/account").await;
    for (header, value) in [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site")] {
        let answer = visitor.request(Method::POST, &disable).header(header, value).form(&[("csrf", &token)]).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{header}: {value}");
    }
    assert!(shop.chat(&customer.key, serde_json::json!({"model": "x"})).await.status() != StatusCode::UNAUTHORIZED, "the key is still on");
    assert_eq!(location(&visitor.post(&disable, &[("csrf", &token)]).await), "/account/keys");
    let huge = "x".repeat(600 * 1024);
    assert_eq!(visitor.post("/account/keys", &[("csrf", &token), ("name", &huge)]).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    shop.finish().await;
}

#[tokio::test]
async fn nobody_reaches_what_belongs_to_another() {
    let shop = TestApp::new().await;
    let (ann, bob) = (shop.customer(Usd::ZERO).await, shop.customer(Usd::ZERO).await);
    let visitor = Visitor::logged_in(&shop, &ann.user).await;
    let theirs = first_key(&shop, &bob.user).await;
    for action in ["disable", "enable", "delete"] {
        let answer = visitor.submit("/account/keys", &format!("/account/keys/{}/{action}", theirs), &[]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{action}");
    }
    let asked = visitor.get(&format!("/account/keys/{}/delete", theirs)).await;
    assert_eq!(asked.status(), StatusCode::NOT_FOUND);
    for path in ["adjust", "disable", "enable"] {
        let answer = visitor.submit("/account", &format!("/admin/users/{}/{path}", bob.user.id), &[("amount", "5"), ("reason", "x")]).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
    }
    assert_eq!(shop.available(bob.user.id).await, Usd::ZERO);
    shop.finish().await;
}

#[tokio::test]
async fn the_setup_link_makes_the_owner_once() {
    let shop = TestApp::new().await;
    let link = shop.app.accounts.offer_setup().await.expect("a link").expect("there is no owner");
    let path = link.strip_prefix(&shop.url).expect("a link to this shop").to_owned();
    let token = path.split("token=").nth(1).expect("a token").to_owned();
    let visitor = Visitor::new(&shop);
    assert_eq!(visitor.get("/setup?token=guess").await.status(), StatusCode::NOT_FOUND);
    let typed = [("token", token.as_str()), ("site_name", "Tokens & Co"), ("email", "boss@example.test"), ("password", PASSWORD)];
    let short = [typed[0], typed[1], typed[2], ("password", "short")];
    assert_eq!(visitor.submit(&path, "/setup", &short).await.status(), StatusCode::UNPROCESSABLE_ENTITY, "a mistake does not use the link up");
    let stranger = Visitor::new(&shop);
    let late = stranger.token(&path).await;
    assert_eq!(location(&visitor.submit(&path, "/setup", &typed).await), "/admin");
    assert!(visitor.read("/admin/settings").await.contains("Tokens &#38; Co"));
    assert_eq!(visitor.get(&path).await.status(), StatusCode::NOT_FOUND);
    let again = stranger.post("/setup", &[&typed[..], &[("csrf", late.as_str())]].concat()).await;
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
    shop.finish().await;
}

#[tokio::test]
async fn known_and_unknown_addresses_get_the_same_answers() {
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::ZERO).await;
    let mut told = Vec::new();
    for email in [customer.user.email.as_str(), "nobody@example.test"] {
        let visitor = Visitor::new(&shop);
        let mut seen = Vec::new();
        for (page, fields) in [("/sign-up", vec![("email", email), ("password", PASSWORD)]), ("/forgot", vec![("email", email)])] {
            let answer = visitor.submit(page, page, &fields).await;
            seen.push((answer.status(), answer.headers().get("location").cloned()));
            let after = visitor.read("/log-in").await;
            let notice = after.split("class=\"notice\"").nth(1).expect("a message").split("</div>").next().expect("its end").replace(email, "X");
            seen.push((StatusCode::OK, Some(reqwest::header::HeaderValue::from_str(&notice.replace(['\n', '’'], " ")).expect("text"))));
        }
        told.push(seen);
    }
    assert_eq!(told[0], told[1]);
    shop.finish().await;
}

#[tokio::test]
async fn guessing_passwords_ends_in_too_many() {
    let shop = TestApp::new().await;
    let owner = owner(&shop).await;
    let visitor = Visitor::new(&shop);
    let mut last = StatusCode::OK;
    for _ in 0..11 {
        let answer = visitor.submit("/log-in", "/log-in", &[("email", owner.email.as_str()), ("password", "wrong wrong wrong")]).await;
        last = answer.status();
        if last == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers().contains_key("retry-after"));
        } else {
            assert_eq!(last, StatusCode::UNPROCESSABLE_ENTITY);
        }
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    shop.finish().await;
}
