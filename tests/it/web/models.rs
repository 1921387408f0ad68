//! The model form: every price is kept and shown where customers look, and a mistake stands beside its field.

use super::{Visitor, owner};
use crate::harness::TestApp;
use farebox::kernel::Usd;
use reqwest::StatusCode;

#[tokio::test]
async fn prices_of_every_kind_are_saved_and_shown() {
    let shop = TestApp::new().await;
    let admin = Visitor::logged_in(&shop, &owner(&shop).await).await;
    let new = "/admin/models/new";
    let page = admin.read(new).await;
    assert!(page.contains("<details class=\"fold\">") && !page.contains("<details class=\"fold\" open>"), "groups that are empty stay folded");

    let wrong = [("name", "m"), ("input", "3"), ("output", "15"), ("image", "-1"), ("tier1_above", "200000"), ("cache_factor", "2"), ("tier2_output", "7")];
    let answer = admin.submit(new, new, &wrong).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = answer.text().await.unwrap();
    for field in ["image", "tier1_input", "tier1_output", "tier2_above", "tier2_input", "cache_factor"] {
        assert!(page.contains(&format!("id=\"{field}-error\"")), "{field}");
    }
    assert!(page.contains("value=\"200000\"") && page.matches("<details class=\"fold\" open>").count() == 3, "what was typed stays, and its groups stand open");

    let right = [
        ("name", "tiny"),
        ("enabled", "on"),
        ("input", "3"),
        ("output", "15"),
        ("image", "0.04"),
        ("tier1_above", "200000"),
        ("tier1_input", "6"),
        ("tier1_output", "22.5"),
        ("cache_ttl", "60"),
        ("cache_factor", "0.1"),
        ("context_length", "1000000"),
    ];
    assert_eq!(admin.submit(new, new, &right).await.status(), StatusCode::SEE_OTHER);
    let model = shop.app.catalog.get("tiny").expect("it is on sale at once");
    assert_eq!((model.context_length, model.caching.map(|caching| caching.factor.of(Usd(10)))), (Some(1_000_000), Some(Usd(1))));
    let page = admin.read(&format!("/admin/models/{}", model.id)).await;
    for (field, value) in right.into_iter().filter(|(field, _)| *field != "enabled") {
        let input = page.split(&format!("id=\"{field}\"")).nth(1).unwrap_or_default();
        assert!(input.split('>').next().is_some_and(|input| input.contains(&format!("value=\"{value}\""))), "{field}");
    }
    for page in [admin.read("/").await, admin.read("/admin/models").await] {
        assert!(page.contains("$0.04 each") && page.contains("Inputs of more than 200,000 tokens") && page.contains("Output $22.50"), "{page}");
    }
    shop.finish().await;
}
