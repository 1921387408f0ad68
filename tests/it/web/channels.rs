//! The channel form: what is wrong stands beside its field, what was typed stays, and keys never come back.

use super::{Visitor, location, owner};
use crate::harness::TestApp;
use reqwest::StatusCode;

#[tokio::test]
async fn a_channel_form_keeps_what_was_typed_but_the_keys() {
    let shop = TestApp::new().await;
    let admin = Visitor::logged_in(&shop, &owner(&shop).await).await;
    let new = "/admin/channels/new";
    let wrong = [
        ("name", "Main"),
        ("kind", "gemini"),
        ("base_url", "https://g.example"),
        ("key", "key-of-the-provider"),
        ("models", "gemini-*"),
        ("weight", "0"),
        ("first_byte_timeout", "soon"),
        ("extra_headers", "Host: elsewhere"),
        ("costs", "gemini-pro 1.25"),
        ("no_tools", "on"),
    ];
    let answer = admin.submit(new, new, &wrong).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = answer.text().await.unwrap();
    for field in ["weight", "first_byte_timeout", "extra_headers", "costs"] {
        assert!(page.contains(&format!("id=\"{field}-error\"")), "{field}");
    }
    for field in ["name", "key", "models", "proxy_url"] {
        assert!(!page.contains(&format!("id=\"{field}-error\"")), "{field}");
    }
    for typed in ["value=\"https://g.example\"", "gemini-*</textarea>", "value=\"soon\"", "Host: elsewhere</textarea>", "<option value=\"gemini\" selected>"] {
        assert!(page.contains(typed), "{typed}");
    }
    assert!(!page.contains("key-of-the-provider"));

    let right = wrong.map(|(field, text)| match field {
        "weight" => (field, "2"),
        "first_byte_timeout" => (field, "2.5"),
        "extra_headers" => (field, "X-Team: verdant"),
        "costs" => (field, "gemini-pro 1.25 10"),
        // A box that is not ticked is not sent.
        "no_tools" => ("proxy_url", "http://me:hush-hush@127.0.0.1:9"),
        _ => (field, text),
    });
    assert_eq!(admin.submit(new, new, &right).await.status(), StatusCode::SEE_OTHER);
    let list = admin.read("/admin/channels").await;
    assert!(list.contains("Google Gemini") && list.contains("https://g.example/v1beta"), "{list}");
    let edit = list.split("href=\"").find_map(|rest| rest.split('"').next().filter(|path| path.len() == "/admin/channels/".len() + 13)).unwrap().to_owned();
    let page = admin.read(&edit).await;
    for kept in
        ["value=\"2.5\"", "x-team: ••••••</textarea>", "value=\"http://me:••••••@127.0.0.1:9\"", "gemini-pro 1.25 10 1.25 1.25</textarea>", "ends in ider"]
    {
        assert!(page.contains(kept), "{kept}: {page}");
    }
    assert!(!page.contains("key-of-the-provider") && !page.contains("verdant") && !page.contains("hush"));

    // What is hidden is kept, and goes nowhere else.
    let hidden = right.map(|(field, text)| match field {
        "key" => (field, ""),
        "extra_headers" => (field, "x-team: ••••••"),
        "proxy_url" => (field, "http://me:••••••@127.0.0.1:9"),
        _ => (field, text),
    });
    assert_eq!(location(&admin.submit(&edit, &edit, &hidden).await), "/admin/channels");
    let stored = farebox::channels::list(&mut shop.app.db.read().await.unwrap(), &shop.app.secret).await.unwrap().remove(0).options.private;
    assert_eq!(stored.extra_headers, [("x-team".to_owned(), "verdant".to_owned())]);
    assert_eq!(stored.proxy_url.as_deref(), Some("http://me:hush-hush@127.0.0.1:9"));
    let elsewhere = hidden.map(|(field, text)| if field == "proxy_url" { (field, "http://me:••••••@evil.example:9") } else { (field, text) });
    let answer = admin.submit(&edit, &edit, &elsewhere).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(answer.text().await.unwrap().contains("id=\"proxy_url-error\""));
    shop.finish().await;
}
