//! Plans in the browser: made, changed and taken off by an admin, chosen, watched and ended by a customer.

use super::{Visitor, field, location, owner};
use crate::harness::TestApp;
use farebox::kernel::{Id, Usd};
use farebox::ledger::House;
use farebox::plans::{self, Activation, BuyWay, Renewal, Reserve, State};
use jiff::tz::TimeZone;
use reqwest::StatusCode;

const PLAN: [(&str, &str); 13] = [
    ("name", "Starter"),
    ("description", "For a start"),
    ("price", "10"),
    ("currency", "USD"),
    ("sold", "both"),
    ("length", "1"),
    ("length_unit", "month"),
    ("allowance", "12"),
    ("reset", "none"),
    ("used_up", "stop"),
    ("stacking", "extend"),
    ("visibility", "public"),
    ("rpm", "60"),
];

/// The form with some fields changed.
fn with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = PLAN.into_iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    kept.chain(changes.iter().copied()).collect()
}

async fn only_plan(shop: &TestApp) -> plans::Plan {
    let mut all = plans::list(&mut shop.app.db.read().await.unwrap(), None, None, 10).await.unwrap();
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// Gives a customer a plan, as an order does.
async fn begin(shop: &TestApp, user: Id, plan: Id, renewal: Renewal) -> Id {
    let mut tx = shop.app.db.write().await.unwrap();
    let order = shop.app.kit.ids.next();
    let way = if renewal == Renewal::Once { BuyWay::Once } else { BuyWay::Subscription };
    plans::reserve(&mut tx, &shop.app.kit, &Reserve { user, plan, order, way }).await.unwrap();
    let paid = Activation { user, plan, order, paid: Usd::dollars(10), funding: House::Cash, renewal, zone: &TimeZone::UTC };
    let activated = plans::activate(&mut tx, &shop.app.kit, &shop.app.books, &paid).await.unwrap();
    tx.commit().await.unwrap();
    shop.app.refresh().await.unwrap();
    activated.subscription
}

#[tokio::test]
async fn an_admin_makes_a_plan_changes_it_and_takes_it_off() {
    let shop = TestApp::new().await;
    let admin = Visitor::logged_in(&shop, &owner(&shop).await).await;
    let new = "/admin/plans/new";
    let wrong = admin.submit(new, new, &with(&[("price", "9.999"), ("length", "0"), ("keys", "101")])).await;
    assert_eq!(wrong.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let page = wrong.text().await.unwrap();
    for name in ["price", "length", "keys"] {
        assert!(page.contains(&format!("id=\"{name}-error\"")), "{name}: {page}");
    }
    assert!(page.contains("value=\"Starter\"") && page.contains("value=\"9.999\""), "what was typed stays");
    assert_eq!(location(&admin.submit(new, new, &PLAN).await), "/admin/plans");
    let plan = only_plan(&shop).await;
    let list = admin.read("/admin/plans").await;
    assert!(list.contains("Starter") && list.contains("$10.00 for 1 month") && list.contains("$12.00"), "{list}");
    assert!(!admin.read("/admin/plans?visibility=off").await.contains("Starter"));

    let path = format!("/admin/plans/{}", plan.id);
    let seen = field(&admin.read(&path).await, "version");
    let changed = with(&[("allowance", "15"), ("version", seen.as_str())]);
    assert_eq!(location(&admin.submit(&path, &path, &changed).await), "/admin/plans");
    assert_eq!(only_plan(&shop).await.terms.allowance(), Usd::dollars(15));
    let late = admin.submit(&path, &path, &with(&[("allowance", "1"), ("version", seen.as_str())])).await;
    assert_eq!(late.status(), StatusCode::UNPROCESSABLE_ENTITY, "somebody else has saved it meanwhile");
    assert_eq!(only_plan(&shop).await.terms.allowance(), Usd::dollars(15));

    let ask = format!("{path}/off");
    assert!(admin.read(&ask).await.contains("Take Starter off sale?"));
    assert_eq!(location(&admin.submit(&ask, &ask, &[]).await), "/admin/plans");
    assert!(admin.read("/admin/plans?visibility=off").await.contains("Starter"));
    let customer = shop.customer(Usd::dollars(50)).await;
    let visitor = Visitor::logged_in(&shop, &customer.user).await;
    assert!(!visitor.read("/account/plans").await.contains("Starter"));
    assert_eq!(visitor.get(&format!("/account/plans/{}", plan.id)).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(visitor.get("/admin/plans").await.status(), StatusCode::FORBIDDEN);
    shop.finish().await;
}

#[tokio::test]
async fn a_customer_chooses_and_buys_out_of_the_balance() {
    let shop = TestApp::new().await;
    let admin = Visitor::logged_in(&shop, &owner(&shop).await).await;
    for changes in [vec![], vec![("name", "Hidden"), ("visibility", "link")], vec![("name", "Rare"), ("stock", "0")]] {
        assert_eq!(admin.submit("/admin/plans/new", "/admin/plans/new", &with(&changes)).await.status(), StatusCode::SEE_OTHER);
    }
    let all = plans::list(&mut shop.app.db.read().await.unwrap(), None, None, 10).await.unwrap();
    let [starter, hidden, _] = &all[..] else { panic!("three plans") };
    let poor = shop.customer(Usd::dollars(9)).await;
    let page = Visitor::logged_in(&shop, &poor.user).await.read("/account/plans").await;
    assert!(page.contains("Starter") && page.contains("Your balance does not cover it.") && page.contains("Sold out") && !page.contains("Hidden"), "{page}");

    let customer = shop.customer(Usd::dollars(25)).await;
    let visitor = Visitor::logged_in(&shop, &customer.user).await;
    let path = format!("/account/plans/{}", starter.id);
    let page = visitor.read(&path).await;
    assert!(page.contains("For a start") && page.contains("Requests per minute"), "{page}");
    let (way, by) = (field(&page, "way"), field(&page, "by"));
    let id = starter.id.to_string();
    let bought = visitor.submit(&path, "/account/orders", &[("what", "plan"), ("plan", &id), ("way", &way), ("by", &by)]).await;
    assert_eq!(location(&bought), "/account/plan");
    let mine = visitor.read("/account/plan").await;
    assert!(mine.contains("Starter") && mine.contains("$12.00") && mine.contains("It ends. Buy it again to go on."), "{mine}");
    assert_eq!(shop.available(customer.user.id).await, Usd::dollars(15));
    assert!(visitor.read(&format!("/account/plans/{}", hidden.id)).await.contains("Hidden"), "whoever has the link");
    assert!(visitor.read("/account/plans").await.contains("You have this plan"));
    shop.finish().await;
}

#[tokio::test]
async fn a_customer_cancels_resumes_changes_and_ends() {
    let shop = TestApp::new().await;
    let admin = Visitor::logged_in(&shop, &owner(&shop).await).await;
    for name in ["Small", "Large"] {
        admin.submit("/admin/plans/new", "/admin/plans/new", &with(&[("name", name)])).await;
    }
    let all = plans::list(&mut shop.app.db.read().await.unwrap(), None, None, 10).await.unwrap();
    let customer = shop.customer(Usd::dollars(1)).await;
    let visitor = Visitor::logged_in(&shop, &customer.user).await;
    let renewal = Renewal::Provider { id: "sub_1".into(), bounds: None };
    let subscription = begin(&shop, customer.user.id, all[0].id, renewal).await;
    let at = |action: &str| format!("/account/plan/{subscription}/{action}");
    let page = visitor.read("/account/plan").await;
    assert!(page.contains("It is renewed, $10.00 for 1 month."), "{page}");

    assert!(visitor.read(&at("cancel")).await.contains("Let Small end?"));
    assert_eq!(location(&visitor.submit(&at("cancel"), &at("cancel"), &[]).await), "/account/plan");
    let page = visitor.read("/account/plan").await;
    assert!(page.contains("It will not be renewed.") && page.contains("It ends and is not renewed."), "{page}");
    assert_eq!(location(&visitor.submit("/account/plan", &at("resume"), &[]).await), "/account/plan");
    assert!(visitor.read("/account/plan").await.contains("It is renewed,"));

    let larger = all[1].id.to_string();
    assert!(visitor.read("/account/plans").await.contains(&at("change")));
    assert_eq!(location(&visitor.submit("/account/plans", &at("change"), &[("plan", &larger)]).await), "/account/plan");
    assert!(visitor.read("/account/plan").await.contains("It becomes Large, $10.00 for 1 month."));

    let stranger = Visitor::logged_in(&shop, &shop.customer(Usd::ZERO).await.user).await;
    for action in ["cancel", "end"] {
        assert_eq!(stranger.get(&at(action)).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(stranger.submit("/account/plan", &at(action), &[]).await.status(), StatusCode::NOT_FOUND);
    }
    assert_eq!(stranger.submit("/account/plan", &at("resume"), &[]).await.status(), StatusCode::NOT_FOUND);

    assert!(visitor.read(&at("end")).await.contains("nothing is paid back"));
    assert_eq!(location(&visitor.submit(&at("end"), &at("end"), &[]).await), "/account/plan");
    let page = visitor.read("/account/plan").await;
    assert!(page.contains("Plans that have ended") && page.contains("No plan runs."), "{page}");
    let view = plans::of_user(&mut shop.app.db.read().await.unwrap(), customer.user.id, None, 10).await.unwrap().remove(0);
    assert_eq!(view.state, State::Ended);
    assert_eq!(location(&visitor.submit("/account/plan", &at("resume"), &[]).await), "/account/plan");
    assert!(visitor.read("/account/plan").await.contains("That is not possible any more."));
    shop.finish().await;
}

#[tokio::test]
async fn a_plan_says_how_many_keys_its_customer_may_have_and_the_owner_whose_days_count() {
    let shop = TestApp::new().await;
    let admin = Visitor::logged_in(&shop, &owner(&shop).await).await;
    admin.submit("/admin/plans/new", "/admin/plans/new", &with(&[("keys", "2")])).await;
    let plan = only_plan(&shop).await;
    let customer = shop.customer(Usd::ZERO).await;
    begin(&shop, customer.user.id, plan.id, Renewal::Once).await;
    let visitor = Visitor::logged_in(&shop, &customer.user).await;
    let make = async |name: &str| visitor.submit("/account/keys", "/account/keys", &[("name", name)]).await.status();
    assert_eq!((make("second").await, make("third").await), (StatusCode::OK, StatusCode::UNPROCESSABLE_ENTITY));

    let set = async |zone: &str| admin.submit("/admin/settings", "/admin/settings", &[("site_name", "Shop"), ("time_zone", zone)]).await;
    assert_eq!(set("Mars/Olympus").await.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(set("Asia/Shanghai").await.status(), StatusCode::SEE_OTHER);
    assert_eq!(shop.app.settings.now().time_zone.iana_name(), Some("Asia/Shanghai"));
    assert!(admin.read("/admin/settings").await.contains("value=\"Asia/Shanghai\""));
    shop.finish().await;
}
