//! Limits on pages: a customer's keys, a customer as the admin sees them, the shop's defaults.

use super::{Visitor, first_key, location, owner};
use crate::harness::TestApp;
use farebox::accounts;
use farebox::kernel::Usd;
use farebox::keys::{self, KeyView, ModelRule};
use reqwest::StatusCode;

const LIMITS: [(&str, &str); 10] = [
    ("name", "Laptop"),
    ("expires", "30"),
    ("budget", "5"),
    ("budget_day", "0.50"),
    ("rpm", "60"),
    ("tpm", "100,000"),
    ("concurrency", "4"),
    ("model_rule", "deny"),
    ("models", "gpt-4*\r\nclaude-demo"),
    ("addresses", "203.0.113.7\r\n2001:db8::/32"),
];

async fn only(shop: &TestApp, user: farebox::kernel::Id, name: &str) -> KeyView {
    let all = keys::list(&mut shop.app.db.read().await.unwrap(), user).await.unwrap();
    all.into_iter().find(|key| key.name == name).unwrap_or_else(|| panic!("no key {name}"))
}

/// The value of a field that a page prints back.
fn has_value(page: &str, name: &str, value: &str) -> bool {
    let field = page.split(&format!("name=\"{name}\"")).nth(1).unwrap_or_else(|| panic!("no field {name}"));
    let of_input = field.split('>').next().unwrap();
    let of_text = field.split("</textarea>").next().unwrap().split_once('>').map_or("", |(_, text)| text.trim_start_matches('\n'));
    of_input.contains(&format!("value=\"{value}\"")) || of_text.replace('\r', "") == value
}

#[tokio::test]
async fn a_customer_makes_a_key_with_limits_and_edits_it() {
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::ZERO).await;
    let visitor = Visitor::logged_in(&shop, &customer.user).await;
    let made = visitor.submit("/account/keys", "/account/keys", &LIMITS).await;
    assert_eq!(made.status(), StatusCode::OK);
    let key = only(&shop, customer.user.id, "Laptop").await;
    let (rules, budgets) = (key.options.allowance.rules, key.options.allowance.budgets);
    assert_eq!(
        (key.budget, budgets.day, rules.rpm.map(u64::from), rules.tpm.map(u64::from)),
        (Some(Usd::dollars(5)), Some(Usd(500_000_000)), Some(60), Some(100_000))
    );
    assert_eq!(key.options.access.models, Some(ModelRule::Deny(vec!["gpt-4*".into(), "claude-demo".into()])));
    assert_eq!(key.options.access.addresses.len(), 2);
    let path = format!("/account/keys/{}", key.id);
    let page = visitor.read(&path).await;
    for (name, value) in
        [("name", "Laptop"), ("budget", "5"), ("rpm", "60"), ("rpd", ""), ("models", "gpt-4*\nclaude-demo"), ("addresses", "203.0.113.7\n2001:db8::/32")]
    {
        assert!(has_value(&page, name, value), "{name}: {page}");
    }
    let changed = [("name", "Desk"), ("expires", "keep"), ("rpd", "9"), ("model_rule", "allow"), ("models", "demo-*")];
    assert_eq!(location(&visitor.submit(&path, &path, &changed).await), "/account/keys");
    let edited = only(&shop, customer.user.id, "Desk").await;
    assert_eq!((edited.id, edited.expires_at, edited.budget), (key.id, key.expires_at, None));
    assert_eq!((edited.options.allowance.rules.rpm, edited.options.allowance.rules.rpd.map(u64::from)), (None, Some(9)));
    assert!(edited.options.access.addresses.is_empty() && edited.options.access.may_use("demo-x") && !edited.options.access.may_use("gpt-4"));
    assert_eq!(location(&visitor.submit(&path, &path, &[("name", "Desk"), ("expires", "")]).await), "/account/keys");
    assert_eq!(only(&shop, customer.user.id, "Desk").await.options, keys::KeyOptions::default());
    shop.finish().await;
}

#[tokio::test]
async fn mistakes_stand_beside_their_fields_with_what_was_typed() {
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::ZERO).await;
    let visitor = Visitor::logged_in(&shop, &customer.user).await;
    let edit = format!("/account/keys/{}", first_key(&shop, &customer.user).await);
    for page in ["/account/keys", edit.as_str()] {
        for (field, typed) in [
            ("name", ""),
            ("rpm", "0"),
            ("tpm", "many"),
            ("rpd", "-3"),
            ("concurrency", "1.5"),
            ("budget", "-1"),
            ("budget_day", "1,5"),
            ("budget_week", "x"),
            ("budget_month", "0.0000000001"),
            ("models", "two words"),
            ("addresses", "10.0.0.0/33"),
        ] {
            let fields = [("name", "k"), ("expires", "7"), ("models", "demo"), ("addresses", "::1")];
            let fields: Vec<_> = fields.into_iter().filter(|(name, _)| *name != field).chain([(field, typed)]).collect();
            let answer = visitor.submit(page, page, &fields).await;
            assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{page} {field}");
            let html = answer.text().await.unwrap();
            assert!(html.contains(&format!("id=\"{field}-error\"")) && html.matches("aria-invalid").count() == 1, "{page} {field}: {html}");
            assert!(has_value(&html, field, typed), "{page} {field}: {html}");
            assert!(field == "models" || has_value(&html, "models", "demo"), "{page} {field}: the rest is kept");
        }
    }
    assert_eq!(keys::list(&mut shop.app.db.read().await.unwrap(), customer.user.id).await.unwrap().len(), 1, "nothing was made");
    assert_eq!(only(&shop, customer.user.id, "test").await.options, keys::KeyOptions::default());
    shop.finish().await;
}

#[tokio::test]
async fn nobody_sees_or_edits_the_key_of_another() {
    let shop = TestApp::new().await;
    let (customer, other) = (shop.customer(Usd::ZERO).await, shop.customer(Usd::ZERO).await);
    let visitor = Visitor::logged_in(&shop, &other.user).await;
    let path = format!("/account/keys/{}", first_key(&shop, &customer.user).await);
    assert_eq!(visitor.get(&path).await.status(), StatusCode::NOT_FOUND);
    let answer = visitor.submit("/account/keys", &path, &[("name", "Mine"), ("expires", "keep")]).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(only(&shop, customer.user.id, "test").await.name, "test");
    shop.finish().await;
}

#[tokio::test]
async fn an_admin_limits_a_customer() {
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let admin = Visitor::logged_in(&shop, &owner(&shop).await).await;
    let person = format!("/admin/users/{}", customer.user.id);
    let action = format!("{person}/limits");
    let limits = async || accounts::limits(&mut shop.app.db.read().await.unwrap(), customer.user.id).await.unwrap();
    let wrong = admin.submit(&person, &action, &[("rpm", "none"), ("budget_month", "7.5")]).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let html = wrong.text().await.unwrap();
    assert!(html.contains("id=\"rpm-error\"") && has_value(&html, "rpm", "none") && has_value(&html, "budget_month", "7.5"), "{html}");
    assert_eq!(limits().await, keys::UserLimits::default());
    assert_eq!(location(&admin.submit(&person, &action, &[("rpm", "77"), ("budget_month", "7.5"), ("alone", "on")]).await), person);
    let set = limits().await;
    assert_eq!((set.allowance.rules.rpm.map(u64::from), set.allowance.budgets.month, set.alone), (Some(77), Some(Usd(7_500_000_000)), true));
    let page = admin.read(&person).await;
    assert!(has_value(&page, "rpm", "77") && page.contains("type=\"checkbox\" value=\"on\" checked"), "{page}");
    let adjusted =
        admin.submit(&person, &format!("{person}/adjust"), &[("amount", "x"), ("reason", ""), ("once", "0000000000001")]).await.text().await.unwrap();
    assert!(has_value(&adjusted, "rpm", "77"), "the other form of the page keeps what is set");
    let bad = admin.submit(&person, &action, &[("models", "two words"), ("addresses", "10.0.0.0/33"), ("expires", "soon")]).await;
    assert_eq!(bad.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let fields = [("model_rule", "deny"), ("models", "gpt-4*"), ("addresses", "203.0.113.0/24"), ("expires", "7")];
    assert_eq!(location(&admin.submit(&person, &action, &fields).await), person);
    let set = limits().await;
    assert!(set.access.may_use("demo") && !set.access.may_use("gpt-4o") && !set.access.allows("::1".parse().unwrap()));
    let now = shop.app.kit.clock.now_ms();
    let ends = set.expires_at.unwrap();
    assert!(ends > now && ends <= now + 7 * 24 * 3_600_000);
    let page = admin.read(&person).await;
    assert!(has_value(&page, "models", "gpt-4*") && has_value(&page, "addresses", "203.0.113.0/24"), "{page}");
    assert!(page.contains("value=\"keep\" selected"), "the end is kept unless another is chosen: {page}");
    assert_eq!(location(&admin.submit(&person, &action, &[("expires", "keep"), ("models", "demo")]).await), person);
    assert_eq!((limits().await.expires_at, limits().await.access.addresses.len()), (Some(ends), 0));
    let noted = farebox::admin_log::recent(&mut shop.app.db.read().await.unwrap(), None, 10).await.unwrap();
    assert!(noted.iter().any(|entry| entry.action == "user-limited" && entry.detail.contains("gpt-4*")), "{noted:?}");
    assert_eq!(location(&admin.submit(&person, &action, &[]).await), person);
    assert_eq!(limits().await, keys::UserLimits::default());
    let visitor = Visitor::logged_in(&shop, &customer.user).await;
    let answer = visitor.submit("/account", &action, &[("rpm", "")]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "nobody raises their own limits");
    assert_eq!(admin.submit(&person, "/admin/users/0000000000001/limits", &[("rpm", "1")]).await.status(), StatusCode::NOT_FOUND);
    shop.finish().await;
}

#[tokio::test]
async fn the_owner_sets_the_limits_of_every_customer() {
    let shop = TestApp::new().await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let admin = Visitor::logged_in(&shop, &owner(&shop).await).await;
    let save = async |fields: &[(&str, &str)]| admin.submit("/admin/settings", "/admin/settings", &[&[("site_name", "Shop")], fields].concat()).await;
    let wrong = save(&[("tpm", "lots"), ("rpm", "9")]).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let html = wrong.text().await.unwrap();
    assert!(html.contains("id=\"tpm-error\"") && has_value(&html, "rpm", "9"), "{html}");
    assert!(shop.app.settings.now().allowance.rules.is_empty() && shop.app.settings.now().site_name == "Farebox", "all of it or nothing");
    assert_eq!(location(&save(&[("tpm", "5000"), ("budget_week", "3")]).await), "/admin/settings");
    let now = shop.app.settings.now();
    assert_eq!((now.allowance.rules.tpm.map(u64::from), now.allowance.budgets.week, now.site_name.as_str()), (Some(5_000), Some(Usd::dollars(3)), "Shop"));
    let page = admin.read("/admin/settings").await;
    assert!(has_value(&page, "tpm", "5000") && has_value(&page, "budget_week", "3"));
    let person = admin.read(&format!("/admin/users/{}", customer.user.id)).await;
    assert!(person.contains("<dd>5000</dd>"), "the customer's page says what holds by default: {person}");
    save(&[]).await;
    assert!(shop.app.settings.now().allowance.rules.is_empty());
    shop.finish().await;
}
