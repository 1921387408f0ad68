//! Coupons: reserved, used and released once per order, and never more often than they say.

use crate::harness::{TestDb, kit};
use farebox::coupons::{self, Basket, Bought, CouponError, CouponFields, Discount, Draft, SaveError, UseState};
use farebox::kernel::{Currency, Id, Kit, Money, Usd, clock::DAY_MS};
use std::sync::Arc;
use tokio::task::JoinSet;

const ADMIN: Id = Id(1);
const ANN: Id = Id(1001);
const BOB: Id = Id(1002);

fn basket(minor: i64) -> Basket {
    Basket { what: Bought::TopUp, money: Money::new(minor, Currency::USD), first: true }
}

fn fields() -> CouponFields<'static> {
    CouponFields { code: "SPRING", kind: "percent", percent: "10", top_up: "on", enabled: "on", ..CouponFields::default() }
}

struct Shop {
    test: TestDb,
    kit: Kit,
}

impl Shop {
    async fn with(fields: CouponFields<'_>) -> (Arc<Self>, Id) {
        let shop = Self { test: TestDb::new().await, kit: kit() };
        let id = shop.save(None, fields).await.unwrap();
        (Arc::new(shop), id)
    }

    async fn save(&self, id: Option<Id>, fields: CouponFields<'_>) -> Result<Id, SaveError> {
        coupons::save(&self.test.db, &self.kit, ADMIN, id, &Draft::parse(&fields).unwrap()).await
    }

    async fn reserve(&self, user: Id, order: i64, basket: Basket) -> Result<Discount, CouponError> {
        self.reserve_code("spring", user, order, basket).await
    }

    /// As the making of an order does.
    async fn reserve_code(&self, code: &str, user: Id, order: i64, basket: Basket) -> Result<Discount, CouponError> {
        let mut tx = self.test.db.write().await.unwrap();
        let discount = coupons::reserve(&mut tx, &self.kit, user, code, Id(order), &basket).await?;
        tx.commit().await.unwrap();
        Ok(discount)
    }

    async fn used(&self, order: i64) -> bool {
        let mut tx = self.test.db.write().await.unwrap();
        let new = coupons::used(&mut tx, Id(order)).await.unwrap();
        tx.commit().await.unwrap();
        new
    }

    async fn release(&self, order: i64) -> bool {
        let mut tx = self.test.db.write().await.unwrap();
        let was = coupons::release(&mut tx, Id(order)).await.unwrap();
        tx.commit().await.unwrap();
        was
    }

    async fn counts(&self, id: Id) -> (i64, i64) {
        let view = coupons::find(&mut self.test.db.read().await.unwrap(), id).await.unwrap().unwrap();
        (view.taken, view.used)
    }

    async fn race(self: &Arc<Self>, orders: Vec<(Id, i64)>) -> Vec<Result<Discount, CouponError>> {
        let mut racers = JoinSet::new();
        for (user, order) in orders {
            let shop = Arc::clone(self);
            racers.spawn(async move { shop.reserve(user, order, basket(1_000)).await });
        }
        racers.join_all().await
    }
}

#[tokio::test]
async fn an_order_has_its_coupon_once_from_reservation_to_use() {
    let (shop, id) = Shop::with(CouponFields { total_limit: "2", ..fields() }).await;
    let first = shop.reserve_code(" Spr-ing ", ANN, 1, basket(1_999)).await.unwrap();
    assert_eq!(first, Discount { coupon: id, off: Money::new(199, Currency::USD), bonus: Usd::ZERO });
    assert_eq!(shop.reserve(ANN, 1, basket(1_999)).await.unwrap(), first, "the same order again");
    assert_eq!(shop.counts(id).await, (1, 0));
    // What was promised holds, whatever becomes of the coupon.
    shop.save(Some(id), CouponFields { percent: "50", total_limit: "2", ..fields() }).await.unwrap();
    assert_eq!(shop.reserve(ANN, 1, basket(1_999)).await.unwrap(), first);
    assert_eq!((shop.used(1).await, shop.used(1).await, shop.release(1).await), (true, false, false));
    assert_eq!(shop.counts(id).await, (1, 1));
    shop.reserve(BOB, 2, basket(1_000)).await.unwrap();
    assert!(matches!(shop.reserve(BOB, 3, basket(1_000)).await, Err(CouponError::UsedUp)));
    assert_eq!((shop.release(2).await, shop.release(2).await, shop.counts(id).await), (true, false, (1, 1)));
    shop.reserve(BOB, 3, basket(1_000)).await.unwrap();
    // Paid after its reservation had ended: honoured, and counted, beyond the limit.
    assert_eq!((shop.used(2).await, shop.counts(id).await), (true, (3, 2)));
    assert!(!shop.used(404).await && !shop.release(404).await, "an order without a coupon");
    let uses = coupons::uses(&mut shop.test.db.read().await.unwrap(), id, None, 10).await.unwrap();
    assert_eq!(uses.iter().map(|used| (used.order.0, used.state)).collect::<Vec<_>>(), [(3, UseState::Reserved), (2, UseState::Used), (1, UseState::Used)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_orders_at_once_reserve_as_many_as_the_total_limit_says() {
    let (shop, id) = Shop::with(CouponFields { total_limit: "7", ..fields() }).await;
    let outcomes = shop.race((0..50).map(|n| (Id(1_000 + n), n + 1)).collect()).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 7);
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Err(CouponError::UsedUp))).count(), 43, "{outcomes:?}");
    assert_eq!(shop.counts(id).await, (7, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_orders_of_one_customer_at_once_reserve_as_many_as_one_may() {
    let (shop, id) = Shop::with(CouponFields { per_customer: "3", ..fields() }).await;
    let outcomes = shop.race((0..50).map(|n| (ANN, n + 1)).collect()).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Err(CouponError::UsedUpByYou))).count(), 47, "{outcomes:?}");
    assert!(shop.reserve(BOB, 100, basket(1_000)).await.is_ok());
    let reserved = coupons::uses(&mut shop.test.db.read().await.unwrap(), id, None, 100).await.unwrap();
    let mine = reserved.iter().find(|used| used.user == ANN).unwrap().order.0;
    shop.release(mine).await;
    assert!(shop.reserve(ANN, 101, basket(1_000)).await.is_ok(), "what was released is free again");
    assert!(shop.reserve(ANN, 102, basket(1_000)).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_first_purchase_is_one_whichever_coupons_are_tried() {
    let (shop, _) = Shop::with(CouponFields { first_only: "on", ..fields() }).await;
    shop.save(None, CouponFields { code: "WELCOME", first_only: "on", ..fields() }).await.unwrap();
    let mut racers = JoinSet::new();
    for n in 0..50 {
        let shop = Arc::clone(&shop);
        racers.spawn(async move { shop.reserve_code(if n % 2 == 0 { "spring" } else { "welcome" }, ANN, n + 1, basket(1_000)).await.map(|_| n + 1) });
    }
    let outcomes = racers.join_all().await;
    let won: Vec<i64> = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok().copied()).collect();
    assert_eq!(won.len(), 1, "{outcomes:?}");
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(CouponError::NotFirst))), "{outcomes:?}");
    shop.release(won[0]).await;
    assert!(shop.reserve(ANN, 60, basket(1_000)).await.is_ok(), "the abandoned order was none");
    shop.used(60).await;
    let later = Basket { first: false, ..basket(1_000) };
    assert!(matches!(shop.reserve(ANN, 61, later).await, Err(CouponError::NotFirst)));
    assert!(shop.reserve(BOB, 62, basket(1_000)).await.is_ok());
}

#[tokio::test]
async fn a_coupon_says_why_it_does_nothing_and_writes_nothing() {
    let typed = CouponFields { starts_on: "2026-01-02", ends_on: "2026-01-03", minimums: "10 USD", ..fields() };
    let (shop, id) = Shop::with(typed).await;
    assert!(matches!(shop.reserve(ANN, 1, basket(1_000)).await, Err(CouponError::NotYet)));
    shop.kit.clock.advance(DAY_MS);
    assert!(matches!(shop.reserve(ANN, 1, basket(999)).await, Err(CouponError::TooSmall)));
    let gift_card = Basket { what: Bought::GiftCard, ..basket(1_000) };
    assert!(matches!(shop.reserve(ANN, 1, gift_card).await, Err(CouponError::OtherThing)));
    assert!(matches!(shop.reserve_code("nothing", ANN, 1, basket(1_000)).await, Err(CouponError::Unknown)));
    let quoted = coupons::quote(&mut shop.test.db.read().await.unwrap(), &shop.kit, ANN, "SPRING", &basket(1_000)).await.unwrap();
    assert_eq!((quoted.off.minor, shop.counts(id).await), (100, (0, 0)), "a quote reserves nothing");
    shop.kit.clock.advance(2 * DAY_MS - 1);
    assert!(shop.reserve(ANN, 1, basket(1_000)).await.is_ok(), "the last millisecond of the last day");
    shop.kit.clock.advance(1);
    assert!(matches!(shop.reserve(ANN, 2, basket(1_000)).await, Err(CouponError::Ended)));
    shop.save(Some(id), CouponFields { enabled: "", ..fields() }).await.unwrap();
    assert!(matches!(shop.reserve(ANN, 2, basket(1_000)).await, Err(CouponError::Unknown)));
    shop.save(Some(id), CouponFields { kind: "amount", amounts: "5 EUR", ..fields() }).await.unwrap();
    assert!(matches!(shop.reserve(ANN, 2, basket(1_000)).await, Err(CouponError::OtherCurrency)));
    assert_eq!(shop.counts(id).await, (1, 0));
    let refusals = [CouponError::Unknown, CouponError::NotYet, CouponError::Ended, CouponError::UsedUp, CouponError::TooSmall];
    assert!(refusals.iter().all(|error| error.key().is_some()));
}

#[tokio::test]
async fn coupons_are_listed_by_pages_and_a_code_stands_for_one() {
    let (shop, first) = Shop::with(CouponFields { note: "for the Fair", ..fields() }).await;
    let second = shop.save(None, CouponFields { code: "BONUS", kind: "bonus", bonus: "2.5", ..fields() }).await.unwrap();
    let duplicate = shop.save(None, CouponFields { code: "SPR-ING", ..fields() }).await;
    assert!(matches!(duplicate, Err(SaveError::Invalid(mistakes)) if mistakes[0].field == "code"));
    let stolen = shop.save(Some(second), fields()).await;
    assert!(matches!(stolen, Err(SaveError::Invalid(_))));
    assert!(matches!(shop.save(Some(Id(404)), CouponFields { code: "OTHER", ..fields() }).await, Err(SaveError::NotFound)));
    let mut conn = shop.test.db.read().await.unwrap();
    let ids = |views: Vec<coupons::CouponView>| views.into_iter().map(|view| view.id).collect::<Vec<_>>();
    assert_eq!(ids(coupons::list(&mut conn, "", None, 10).await.unwrap()), [second, first]);
    assert_eq!(ids(coupons::list(&mut conn, "", Some(second), 10).await.unwrap()), [first]);
    assert_eq!(ids(coupons::list(&mut conn, "fair", None, 10).await.unwrap()), [first]);
    assert!(coupons::list(&mut conn, "%", None, 10).await.unwrap().is_empty());
    drop(conn);
    let bonus = shop.reserve_code("bonus", ANN, 1, basket(1_000)).await.unwrap();
    assert_eq!((bonus.off.minor, bonus.bonus), (0, Usd(2_500_000_000)));
}
