//! The admins' list of requests, and the explanation of each.

use super::{Visitor, location, owner};
use crate::harness::TestApp;
use farebox::demo::upstream::{Options, Upstream};
use farebox::kernel::Usd;
use reqwest::StatusCode;
use serde_json::json;

#[tokio::test]
async fn an_admin_finds_a_request_and_reads_why_it_went_where_it_went() {
    let shop = TestApp::new().await;
    let failing = Upstream::start(Options::default()).await.unwrap();
    failing.behave("500").unwrap();
    shop.sell("demo-mini", "1", "10").await;
    shop.sell("unserved", "1", "10").await;
    shop.channel("Shaky <1>", &failing.base_url(), &["demo-mini"], 5).await;
    shop.channel("Steady", &shop.upstream.base_url(), &["demo-mini"], 0).await;
    let (ann, bob) = (shop.customer(Usd::dollars(1)).await, shop.customer(Usd::dollars(1)).await);
    let ask = |model: &str| json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
    assert_eq!(shop.chat(&ann.key, ask("demo-mini")).await.status(), StatusCode::OK);
    assert_eq!(shop.chat(&bob.key, ask("unserved")).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    let (of_ann, of_bob) = (shop.requests(ann.user.id).await.remove(0).id, shop.requests(bob.user.id).await.remove(0).id);
    let path = |id| format!("/admin/requests/{id}");

    let customer = Visitor::logged_in(&shop, &ann.user).await;
    for hidden in ["/admin/requests".to_owned(), path(of_ann)] {
        assert_eq!(customer.get(&hidden).await.status(), StatusCode::FORBIDDEN);
        assert!(location(&Visitor::new(&shop).get(&hidden).await).starts_with("/log-in"));
    }
    let admin = Visitor::logged_in(&shop, &owner(&shop).await).await;
    let shown = async |query: &str| {
        let page = admin.read(&format!("/admin/requests{query}")).await;
        (page.contains(&path(of_ann)), page.contains(&path(of_bob)))
    };
    assert_eq!(shown("").await, (true, true));
    assert_eq!(shown(&format!("?user={}", ann.user.id)).await, (true, false));
    assert_eq!(shown("?outcome=refused").await, (false, true));
    assert_eq!(shown("?outcome=complete&status=").await, (true, false));
    assert_eq!(shown("?status=503&outcome=").await, (false, true));
    assert_eq!(shown(&format!("?before={of_bob}")).await, (true, false));
    assert!(admin.read("/admin/requests?status=x").await.contains("status-error"));
    assert_eq!(admin.get("/admin/requests/0000000000001").await.status(), StatusCode::NOT_FOUND);
    let person = admin.read(&format!("/admin/users/{}", ann.user.id)).await;
    assert!(person.contains(&format!("/admin/requests?user={}", ann.user.id)));

    let page = admin.read(&path(of_ann)).await;
    for told in ["Shaky &#60;1&#62;", "Status 500", "Steady", "Answered", "Channels that serve the model: 2.", &ann.user.email] {
        assert!(page.contains(told), "{told}: {page}");
    }
    let page = admin.read(&path(of_bob)).await;
    assert!(page.contains("no_channel") && page.contains("Channels that serve the model: 0."), "{page}");
    shop.finish().await;
    failing.stop().await;
}

#[tokio::test]
async fn older_requests_are_on_further_pages_of_the_same_search() {
    let shop = TestApp::new().await;
    shop.sell("unserved", "1", "10").await;
    let ann = shop.customer(Usd::dollars(1)).await;
    let body = json!({"model": "unserved", "messages": [{"role": "user", "content": "Hello"}]});
    for _ in 0..51 {
        assert_eq!(shop.chat(&ann.key, body.clone()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    let admin = Visitor::logged_in(&shop, &owner(&shop).await).await;
    let first = admin.read(&format!("/admin/requests?user={}&outcome=refused", ann.user.id)).await;
    let rows = shop.requests(ann.user.id).await;
    let on = |page: &str| rows.iter().filter(|row| page.contains(&format!("/admin/requests/{}", row.id))).count();
    assert_eq!(on(&first), 50);
    let link = format!("/admin/requests?user={}&outcome=refused&before={}", ann.user.id, rows[49].id);
    assert!(first.contains(&link.replace('&', "&#38;")), "{first}");
    let second = admin.read(&link).await;
    assert_eq!((on(&second), first.contains("Show older ones"), second.contains("Show older ones")), (1, true, false));
    shop.finish().await;
}
