//! Buying and paying back on the site's pages.

use super::Till;
use crate::web::{Visitor, field, location, owner};
use farebox::demo::stripe::Card;
use farebox::kernel::Usd;
use farebox::payments::State;
use reqwest::StatusCode;

#[tokio::test]
async fn a_customer_tops_up_and_an_admin_pays_back() {
    let till = Till::open().await;
    let customer = till.customer().await;
    let buyer = Visitor::logged_in(&till.shop, &customer.user).await;
    let page = buyer.read("/account/top-up").await;
    assert!(page.contains("name=\"preset\" value=\"50\""), "{page}");
    for (amount, key) in [("4", "less than can be bought"), ("5000", "more than can be bought"), ("5.001", "Whole cents"), ("many", "aria-invalid")] {
        let answer = buyer.submit("/account/top-up", "/account/orders", &[("amount", amount)]).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(answer.text().await.unwrap().contains(key), "{amount}");
    }
    let answer = buyer.submit("/account/top-up", "/account/orders", &[("preset", "20")]).await;
    let order_page = location(&answer).trim_end_matches("?go").to_owned();
    assert!(buyer.read(&format!("{order_page}?go")).await.contains("http-equiv=\"refresh\""));
    let answer = buyer.get(&format!("{order_page}/pay")).await;
    let pay_page = location(&answer).to_owned();
    assert!(pay_page.starts_with(&till.stripe.base_url()), "{pay_page}");
    let checkout = pay_page.rsplit('/').next().unwrap().split(['?', '#']).next().unwrap().to_owned();
    let back = till.stripe.pay(&checkout, Card::Good).unwrap();
    assert_eq!(back, format!("{}?paid", till.shop.at(&order_page)));
    till.stripe.settled().await;
    till.handled().await;
    assert!(buyer.read(&format!("{order_page}?paid")).await.contains("Paid"));
    assert_eq!(till.available(customer.user.id).await, Usd::dollars(20));
    assert!(buyer.read("/account/orders").await.contains("$20.00"));

    let admin = Visitor::logged_in(&till.shop, &owner(&till.shop).await).await;
    let id = order_page.rsplit('/').next().unwrap().to_owned();
    let admin_page = format!("/admin/orders/{id}");
    assert!(admin.read("/admin/orders?state=paid").await.contains(&admin_page) && !admin.read("/admin/orders?state=pending").await.contains(&admin_page));
    let page = admin.read(&admin_page).await;
    assert!(page.contains("checkout.session.completed"), "{page}");
    let (token, once) = (field(&page, "csrf"), field(&page, "once"));
    for amount in ["0", "21", "x", ""] {
        let form = [("csrf", token.as_str()), ("once", &once), ("amount", amount), ("spent", "owed"), ("reason", "asked")];
        assert_eq!(admin.post(&format!("{admin_page}/refund"), &form).await.status(), StatusCode::UNPROCESSABLE_ENTITY, "{amount}");
    }
    let form = [("csrf", token.as_str()), ("once", &once), ("amount", "7.50"), ("spent", "owed"), ("reason", "asked")];
    for _ in 0..3 {
        assert_eq!(admin.post(&format!("{admin_page}/refund"), &form).await.status(), StatusCode::SEE_OTHER);
    }
    assert_eq!(till.available(customer.user.id).await, Usd::dollars(20) - Usd(7_500_000_000));
    assert!(admin.read(&admin_page).await.contains("$7.50"));

    let stranger = Visitor::logged_in(&till.shop, &till.customer().await.user).await;
    for path in [order_page.clone(), format!("{order_page}/pay")] {
        assert_eq!(stranger.get(&path).await.status(), StatusCode::NOT_FOUND);
    }
    assert_eq!(stranger.submit("/account/top-up", &format!("{order_page}/cancel"), &[]).await.status(), StatusCode::NOT_FOUND);
    assert_eq!(stranger.get("/admin/orders").await.status(), StatusCode::FORBIDDEN);
    till.finish().await;
}

#[tokio::test]
async fn somebody_who_comes_back_before_the_message_is_credited_by_looking() {
    let till = Till::held().await;
    let customer = till.customer().await;
    let buyer = Visitor::logged_in(&till.shop, &customer.user).await;
    let (order, checkout) = till.opened(customer.user.id, 10, 0).await;
    let page = format!("/account/orders/{}", order.id);
    assert!(buyer.read(&page).await.contains(&format!("{page}/pay")));
    assert!(buyer.read(&format!("{page}?paid")).await.contains("hx-trigger"), "nothing is known yet");
    till.stripe.pay(&checkout, Card::Good).unwrap();
    let shown = buyer.read(&format!("{page}?paid")).await;
    assert!(!shown.contains("hx-trigger"), "{shown}");
    assert_eq!((till.state(order.id).await, till.available(customer.user.id).await), (State::Paid, Usd::dollars(10)));
    till.finish().await;
}

#[tokio::test]
async fn the_owner_says_how_credit_is_sold_and_a_currency_has_a_rate() {
    let till = Till::open().await;
    let admin = Visitor::logged_in(&till.shop, &owner(&till.shop).await).await;
    let terms = [("currency", "cny"), ("rate", "7.2"), ("least", "5"), ("most", "500"), ("presets", "10 50"), ("tiers", "50 = 5")];
    let bad = [("currency", "xxx"), ("rate", "0"), ("least", ""), ("most", "1"), ("presets", "a"), ("tiers", "b")];
    let answer = admin.submit("/admin/payments", "/admin/payments", &bad).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(answer.text().await.unwrap().matches("aria-invalid").count(), 5, "each field has its mistake");
    assert_eq!(admin.submit("/admin/payments", "/admin/payments", &terms).await.status(), StatusCode::SEE_OTHER);
    let customer = till.customer().await;
    let buyer = Visitor::logged_in(&till.shop, &customer.user).await;
    let page = buyer.read("/account/top-up").await;
    assert!(page.contains("CNY 360.00") && page.contains("+ $5.00"), "{page}");
    let answer = buyer.submit("/account/top-up", "/account/orders", &[("preset", "50")]).await;
    let order_page = location(&answer).trim_end_matches("?go").to_owned();
    let pay_page = location(&buyer.get(&format!("{order_page}/pay")).await).to_owned();
    let checkout = pay_page.rsplit('/').next().unwrap().split(['?', '#']).next().unwrap().to_owned();
    assert_eq!((till.stripe.object(&checkout)["amount_total"].clone(), till.stripe.object(&checkout)["currency"].clone()), (36_000.into(), "cny".into()));
    till.stripe.pay(&checkout, Card::Good).unwrap();
    till.stripe.settled().await;
    till.handled().await;
    assert_eq!(till.available(customer.user.id).await, Usd::dollars(55));
    till.finish().await;
}
