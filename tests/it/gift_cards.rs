//! Gift cards: fifty hands on one card, and what an admin sees afterwards.

use crate::harness::{TestDb, kit, user, verified_user};
use farebox::admin_log;
use farebox::gift_cards::{self, Created, GiftCardError, NewBatch, RedeemError, Redeemed};
use farebox::kernel::{Id, Kit, NEVER, Usd};
use farebox::ledger::{Books, CreditKind, audit};
use tokio::task::JoinSet;

const ADMIN: Id = Id(1);

struct Shop {
    test: TestDb,
    kit: Kit,
    books: Books,
}

impl Shop {
    async fn open() -> Self {
        let kit = kit();
        Self { test: TestDb::new().await, books: Books::new(kit.clone()), kit }
    }

    async fn batch(&self, count: i64, expires_at: i64) -> Created {
        let new = NewBatch { amount: Usd::dollars(5), count, expires_at, note: "spring".into() };
        gift_cards::create_batch(&self.test.db, &self.kit, ADMIN, new).await.expect("a batch")
    }

    async fn redeem(&self, user: Id, code: &str) -> Result<Redeemed, RedeemError> {
        gift_cards::redeem(&self.test.db, &self.kit, &self.books, user, code).await
    }

    async fn customer(&self) -> Id {
        verified_user(&self.test.db, &self.kit).await
    }

    async fn available(&self, user: Id) -> Usd {
        self.books.balance(&mut self.test.db.read().await.unwrap(), user).await.unwrap().available
    }

    async fn counts(&self, batch: Id) -> (i64, i64, i64) {
        let view = gift_cards::batch(&mut self.test.db.read().await.unwrap(), batch).await.unwrap().unwrap();
        (view.redeemed, view.voided, view.left)
    }

    async fn close(self) {
        let report = audit(&self.test.db).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
    }

    /// Every hand tries every code at once.
    async fn race(&self, hands: &[Id], codes: &[String]) -> Vec<Result<Redeemed, RedeemError>> {
        let mut racers = JoinSet::new();
        for &hand in hands {
            for code in codes {
                let (db, kit, books, code) = (self.test.db.clone(), self.kit.clone(), self.books.clone(), code.clone());
                racers.spawn(async move { gift_cards::redeem(&db, &kit, &books, hand, &code).await });
            }
        }
        racers.join_all().await
    }
}

fn texts(created: &Created) -> Vec<String> {
    created.codes.iter().map(|code| code.reveal().clone()).collect()
}

#[tokio::test]
async fn a_card_credits_once_and_says_so_kindly() {
    let shop = Shop::open().await;
    let (ann, bob) = (shop.customer().await, shop.customer().await);
    let created = shop.batch(2, NEVER).await;
    let codes = texts(&created);
    let typed = format!(" {} ", codes[0].to_lowercase().replace('-', " "));
    assert_eq!(shop.redeem(ann, &typed).await.unwrap(), Redeemed { amount: Usd::dollars(5) });
    assert!(matches!(shop.redeem(ann, &codes[0]).await, Err(RedeemError::AlreadyRedeemedByYou)));
    assert!(matches!(shop.redeem(bob, &codes[0]).await, Err(RedeemError::AlreadyRedeemed)));
    assert_eq!((shop.available(ann).await, shop.available(bob).await), (Usd::dollars(5), Usd::ZERO));
    let balance = shop.books.balance(&mut shop.test.db.read().await.unwrap(), ann).await.unwrap();
    let [credit] = &balance.credits[..] else { panic!("one credit") };
    assert_eq!((credit.bucket.kind, credit.bucket.expires_at), (CreditKind::Gift, NEVER));
    let cards = gift_cards::cards(&mut shop.test.db.read().await.unwrap(), created.batch_id, None, 10).await.unwrap();
    assert_eq!(cards.iter().map(|card| card.redeemed_by).collect::<Vec<_>>(), [Some(ann), None]);
    assert_eq!(cards[0].redeemed_by_email, Some(format!("{ann}@example.com")));
    assert!(codes[0].ends_with(&cards[0].tail) && codes[1].ends_with(&cards[1].tail));
    assert_eq!(shop.counts(created.batch_id).await, (1, 0, 1));
    shop.close().await;
}

#[tokio::test]
async fn only_a_hash_of_a_code_is_kept() {
    let shop = Shop::open().await;
    let codes = texts(&shop.batch(3, NEVER).await);
    let rows: Vec<(String, String)> = sqlx::query_as("SELECT hash, tail FROM gift_card").fetch_all(&mut *shop.test.db.read().await.unwrap()).await.unwrap();
    for code in codes {
        let bare = code.replace('-', "");
        assert!(rows.iter().all(|(hash, tail)| !hash.contains(&bare) && hash.len() == 64 && tail.len() == 4));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_parallel_redemptions_of_one_card_by_one_customer_credit_once() {
    let shop = Shop::open().await;
    let ann = shop.customer().await;
    let code = texts(&shop.batch(1, NEVER).await).remove(0);
    let outcomes = shop.race(&[ann; 50], &[code]).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Err(RedeemError::AlreadyRedeemedByYou))).count(), 49, "{outcomes:?}");
    assert_eq!(shop.available(ann).await, Usd::dollars(5));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_customers_after_one_card_and_a_few_cards_after_each_other() {
    let shop = Shop::open().await;
    let mut hands = Vec::new();
    for _ in 0..10 {
        hands.push(shop.customer().await);
    }
    let created = shop.batch(5, NEVER).await;
    let outcomes = shop.race(&hands, &texts(&created)).await;
    assert_eq!(outcomes.len(), 50);
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 5);
    let lost = |outcome: &&Result<_, _>| matches!(outcome, Err(RedeemError::AlreadyRedeemed));
    assert_eq!(outcomes.iter().filter(lost).count(), 45, "{outcomes:?}");
    let mut credited = Usd::ZERO;
    for &hand in &hands {
        credited += shop.available(hand).await;
    }
    assert_eq!(credited, Usd::dollars(25));
    assert_eq!(shop.counts(created.batch_id).await, (5, 0, 0));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_card_is_redeemed_or_voided_and_never_both() {
    let shop = Shop::open().await;
    let ann = shop.customer().await;
    let created = shop.batch(20, NEVER).await;
    let codes = texts(&created);
    let (db, kit, batch) = (shop.test.db.clone(), shop.kit.clone(), created.batch_id);
    let voiding = tokio::spawn(async move { gift_cards::void_batch(&db, &kit, batch).await.unwrap() });
    let outcomes = shop.race(&[ann], &codes).await;
    let redeemed = outcomes.iter().filter(|outcome| outcome.is_ok()).count() as i64;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(RedeemError::Voided))), "{outcomes:?}");
    assert_eq!(voiding.await.unwrap() as i64, 20 - redeemed);
    assert_eq!(shop.counts(batch).await, (redeemed, 20 - redeemed, 0));
    assert_eq!(shop.available(ann).await, Usd::dollars(5 * redeemed));
    shop.close().await;
}

#[tokio::test]
async fn what_cannot_be_redeemed_changes_nothing() {
    let shop = Shop::open().await;
    let ann = shop.customer().await;
    let created = shop.batch(3, shop.kit.clock.now_ms() + 1000).await;
    let codes = texts(&created);
    let unverified = user(&shop.test.db, &shop.kit, None, None).await;
    let disabled = user(&shop.test.db, &shop.kit, Some(1), Some(2)).await;
    assert!(matches!(shop.redeem(unverified, &codes[0]).await, Err(RedeemError::NotVerified)));
    assert!(matches!(shop.redeem(unverified, "nonsense").await, Err(RedeemError::NotVerified)), "learns nothing of codes either");
    assert!(matches!(shop.redeem(disabled, &codes[0]).await, Err(RedeemError::UserDisabled)));
    assert!(matches!(shop.redeem(ann, "nonsense").await, Err(RedeemError::NotACode)));
    let foreign = texts(&Shop::open().await.batch(10, NEVER).await);
    assert!(matches!(shop.redeem(ann, &foreign[9]).await, Err(RedeemError::Unknown)));
    let cards = gift_cards::cards(&mut shop.test.db.read().await.unwrap(), created.batch_id, None, 10).await.unwrap();
    gift_cards::void_card(&shop.test.db, &shop.kit, cards[1].id).await.unwrap();
    gift_cards::void_card(&shop.test.db, &shop.kit, cards[1].id).await.unwrap();
    assert!(matches!(shop.redeem(ann, &codes[1]).await, Err(RedeemError::Voided)));
    shop.kit.clock.advance(999);
    shop.redeem(ann, &codes[0]).await.unwrap();
    shop.kit.clock.advance(1);
    assert!(matches!(shop.redeem(ann, &codes[2]).await, Err(RedeemError::Expired)));
    assert!(matches!(shop.redeem(ann, &codes[0]).await, Err(RedeemError::AlreadyRedeemedByYou)), "expired or not");
    assert!(matches!(gift_cards::void_card(&shop.test.db, &shop.kit, cards[0].id).await, Err(GiftCardError::AlreadyRedeemed)));
    for missing in [gift_cards::void_card(&shop.test.db, &shop.kit, Id(404)).await, gift_cards::void_batch(&shop.test.db, &shop.kit, Id(404)).await.map(drop)] {
        assert!(matches!(missing, Err(GiftCardError::NotFound)));
    }
    assert_eq!(shop.counts(created.batch_id).await, (1, 1, 1));
    assert_eq!(shop.available(ann).await, Usd::dollars(5));
    shop.close().await;
}

#[tokio::test]
async fn the_largest_batch_is_made_whole_and_listed_by_pages() {
    let shop = Shop::open().await;
    let first = shop.batch(1, NEVER).await;
    let created = shop.batch(gift_cards::MAX_COUNT, NEVER).await;
    let codes = texts(&created);
    assert_eq!(codes.iter().collect::<std::collections::HashSet<_>>().len(), 10_000);
    let ann = shop.customer().await;
    for code in [&codes[0], &codes[5_000], &codes[9_999]] {
        shop.redeem(ann, code).await.unwrap();
    }
    assert_eq!(shop.counts(created.batch_id).await, (3, 0, 9_997));
    let mut conn = shop.test.db.read().await.unwrap();
    let page = gift_cards::batches(&mut conn, None, 1).await.unwrap();
    assert_eq!((page[0].id, page[0].note.as_str(), page[0].created_by), (created.batch_id, "spring", ADMIN));
    assert_eq!(gift_cards::batches(&mut conn, Some(page[0].id), 10).await.unwrap()[0].id, first.batch_id);
    let one = gift_cards::cards(&mut conn, created.batch_id, None, 100).await.unwrap();
    let two = gift_cards::cards(&mut conn, created.batch_id, one.last().map(|card| card.id), 100).await.unwrap();
    assert!(codes[99].ends_with(&one[99].tail) && codes[100].ends_with(&two[0].tail));
    drop(conn);
    let too_many = NewBatch { amount: Usd::dollars(1), count: gift_cards::MAX_COUNT + 1, expires_at: NEVER, note: String::new() };
    assert!(matches!(gift_cards::create_batch(&shop.test.db, &shop.kit, ADMIN, too_many).await, Err(GiftCardError::Invalid(_))));
    assert_eq!(shop.counts(created.batch_id).await.2, 9_997);
    shop.close().await;
}

#[tokio::test]
async fn a_batch_and_the_note_of_who_made_it_are_one() {
    let shop = Shop::open().await;
    let batch = shop.batch(3, NEVER).await.batch_id;
    let events = admin_log::recent(&mut shop.test.db.read().await.unwrap(), None, 10).await.unwrap();
    let noted: Vec<_> = events.iter().map(|event| (event.actor, event.action.as_str(), event.target.clone())).collect();
    assert_eq!(noted, [(Some(ADMIN), "gift-cards-made", batch.to_string())]);

    // When it cannot be noted, no card is made: its code would be shown to nobody.
    let mut tx = shop.test.db.write().await.unwrap();
    sqlx::query("DROP TABLE admin_event").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let new = NewBatch { amount: Usd::dollars(5), count: 3, expires_at: NEVER, note: String::new() };
    assert!(gift_cards::create_batch(&shop.test.db, &shop.kit, ADMIN, new).await.is_err());
    assert_eq!(gift_cards::batches(&mut shop.test.db.read().await.unwrap(), None, 10).await.unwrap().len(), 1);
}
