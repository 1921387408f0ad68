//! Gift cards bought by card: mailed, redeemed, and taken back with their order.

use super::{MINUTE, Till};
use farebox::demo::stripe::Card;
use farebox::gift_cards::sale::{self, SaleState};
use farebox::gift_cards::{self, Gift, RedeemError};
use farebox::kernel::{Id, Usd};
use farebox::ledger::House;
use farebox::payments::{NewOrder, Order, PaymentError, State, Wish};

const DOLLAR: i64 = 100;

/// A card that was paid for and whose letter was written: the order, and the code in the letter.
async fn bought(till: &Till, buyer: Id, dollars: i64) -> (Order, String) {
    let gift = Gift { to: "bob@example.org".into(), giver: "Ann".into(), message: String::new(), lang: "en".into(), deliver_at: 0 };
    let wish = NewOrder { wish: Wish::GiftCard(Usd::dollars(dollars), gift), ..till.wish(buyer, dollars) };
    let order = till.shop.app.payments.order(&wish).await.expect("an order");
    till.shop.app.payments.pay_page(&order).await.expect("a page").expect("an address");
    let checkout = till.find(order.id).await.checkout.expect("the page is known");
    till.stripe.pay(&checkout, Card::Good).expect("the card pays");
    till.deliver_all().await;
    assert_eq!(till.state(order.id).await, State::Paid);
    till.clock.advance(MINUTE);
    till.shop.until("the card is mailed", || async { state(till, &order).await == SaleState::Sent }).await;
    let text: String = sqlx::query_scalar("SELECT body_text FROM outbox WHERE recipient = 'bob@example.org' ORDER BY id DESC LIMIT 1")
        .fetch_one(&mut *till.shop.app.db.read().await.unwrap())
        .await
        .unwrap();
    let code = text.split_whitespace().find(|word| word.len() == 29 && word.split('-').count() == 6);
    (till.find(order.id).await, code.map(str::to_owned).unwrap_or_default())
}

async fn state(till: &Till, order: &Order) -> SaleState {
    sale::sale(&mut till.shop.app.db.read().await.unwrap(), order.user, order.id).await.unwrap().expect("a sale").state
}

pub(super) async fn house(till: &Till, house: House) -> i64 {
    let sql = "SELECT CAST(COALESCE(SUM(CASE WHEN debit = $1 THEN amount ELSE -amount END), 0) AS BIGINT) FROM transfer WHERE debit = $1 OR credit = $1";
    sqlx::query_scalar(sql).bind(house.number()).fetch_one(&mut *till.shop.app.db.read().await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_refund_takes_a_card_back_that_nobody_has_redeemed() {
    let till = Till::held().await;
    let (ann, bob) = (till.customer().await, till.customer().await);
    let (order, code) = bought(&till, ann.user.id, 20).await;
    assert_eq!((house(&till, House::Cash).await, house(&till, House::Cards).await), (20_000_000_000, -20_000_000_000));
    assert!(matches!(till.refund(&order, 5 * DOLLAR, true).await, Err(PaymentError::NotRefundable)), "a card is whole");
    till.refund(&order, 20 * DOLLAR, true).await.unwrap();
    till.deliver_all().await;
    assert_eq!((till.state(order.id).await, state(&till, &order).await), (State::Refunded, SaleState::Recalled));
    assert_eq!((house(&till, House::Cash).await, house(&till, House::Cards).await), (0, 0));
    if !code.is_empty() {
        let app = &till.shop.app;
        assert!(matches!(gift_cards::redeem(&app.db, &app.kit, &app.books, bob.user.id, &code).await, Err(RedeemError::Voided)));
    }
    till.finish().await;
}

#[tokio::test]
async fn a_card_that_was_redeemed_is_the_shop_s_loss() {
    let till = Till::held().await;
    let (ann, bob) = (till.customer().await, till.customer().await);
    let (order, _) = bought(&till, ann.user.id, 20).await;
    // The letter has left, and with it the code: a new one is made for the same address.
    let app = &till.shop.app;
    let sender = sale::Sender { site: "Shop", url: "https://shop.example.com" };
    let to = farebox::accounts::Email::parse("carl@example.org").unwrap();
    sale::send_to(&app.db, &app.kit, sender, ann.user.id, order.id, &to).await.unwrap();
    let cards = gift_cards::batches(&mut app.db.read().await.unwrap(), Some(gift_cards::Origin::Bought), None, 10).await.unwrap();
    assert_eq!((cards.len(), cards[0].left, cards[0].voided), (1, 1, 1));
    let mut tx = app.db.write().await.unwrap();
    sqlx::query("UPDATE gift_card SET redeemed_by = $1, redeemed_at = 1 WHERE voided_at IS NULL").bind(bob.user.id.0).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    till.refund(&order, 20 * DOLLAR, true).await.unwrap();
    till.deliver_all().await;
    assert_eq!((till.state(order.id).await, state(&till, &order).await), (State::Refunded, SaleState::Redeemed));
    assert_eq!((house(&till, House::Cash).await, house(&till, House::Loss).await), (0, 20_000_000_000));
    till.finish().await;
}

#[tokio::test]
async fn a_disputed_card_waits_for_what_the_bank_decides() {
    for won in [true, false] {
        let till = Till::held().await;
        let (ann, bob) = (till.customer().await, till.customer().await);
        let (order, code) = bought(&till, ann.user.id, 20).await;
        let dispute = till.stripe.dispute(order.payment.as_deref().unwrap()).unwrap();
        till.deliver_all().await;
        assert_eq!(state(&till, &order).await, SaleState::Held);
        let app = &till.shop.app;
        let redeem = || gift_cards::redeem(&app.db, &app.kit, &app.books, bob.user.id, &code);
        assert!(matches!(redeem().await, Err(RedeemError::Held)));
        till.stripe.close_dispute(&dispute, won).unwrap();
        till.deliver_all().await;
        till.shop.app.payments.settle_disputes().await.unwrap();
        if won {
            assert_eq!(redeem().await.unwrap().amount, Usd::dollars(20));
        } else {
            assert!(matches!(redeem().await, Err(RedeemError::Voided)));
            assert_eq!((house(&till, House::Cash).await, house(&till, House::Cards).await), (0, 0));
        }
        till.finish().await;
    }
}
