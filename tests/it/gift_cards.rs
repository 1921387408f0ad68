//! Gift cards: fifty hands on one card, and what an admin sees afterwards.

use crate::harness::{TestDb, kit, user, verified_user};
use farebox::admin_log;
use farebox::gift_cards::{self, CardFilter, Created, GiftCardError, NewBatch, Origin, RedeemError, Redeemed};
use farebox::kernel::secrets::{AppSecret, Secret};
use farebox::kernel::{Id, Kit, NEVER, Usd, clock::DAY_MS};
use farebox::ledger::{Books, CreditKind, House, audit};
use farebox::plans;
use std::sync::Arc;
use tokio::task::JoinSet;

const ADMIN: Id = Id(1);

struct Shop {
    test: TestDb,
    kit: Kit,
    books: Books,
    secret: AppSecret,
}

impl Shop {
    async fn open() -> Self {
        let kit = kit();
        Self { test: TestDb::new().await, books: Books::new(kit.clone()), secret: AppSecret::generate(&kit.random), kit }
    }

    async fn batch(&self, count: i64, expires_at: i64) -> Created {
        self.make(NewBatch { expires_at, note: "spring".into(), ..NewBatch::of(Usd::dollars(5), count) }).await.expect("a batch")
    }

    async fn make(&self, new: NewBatch) -> Result<Created, GiftCardError> {
        gift_cards::create_batch(&self.test.db, &self.kit, &self.secret, ADMIN, new).await
    }

    async fn make_due(&self) -> usize {
        gift_cards::make_due(&self.test.db, &self.kit, &self.secret).await.expect("cards are made")
    }

    async fn download(&self, batch: Id) -> Result<Vec<String>, GiftCardError> {
        gift_cards::download(&self.test.db, &self.kit, &self.secret, ADMIN, batch).await.map(revealed)
    }

    async fn show(&self, batch: Id) -> Result<Vec<String>, GiftCardError> {
        gift_cards::show(&self.test.db, &self.kit, &self.secret, ADMIN, batch).await.map(revealed)
    }

    async fn sealed(&self) -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM gift_card_sealed").fetch_one(&mut *self.test.db.read().await.unwrap()).await.unwrap()
    }

    /// What a house account was debited, less what it was credited.
    async fn house(&self, house: House) -> i64 {
        let sql = "SELECT CAST(COALESCE(SUM(CASE WHEN debit = $1 THEN amount ELSE -amount END), 0) AS BIGINT) FROM transfer WHERE debit = $1 OR credit = $1";
        sqlx::query_scalar(sql).bind(house.number()).fetch_one(&mut *self.test.db.read().await.unwrap()).await.unwrap()
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

fn revealed(codes: Vec<Secret<String>>) -> Vec<String> {
    codes.iter().map(|code| code.reveal().clone()).collect()
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
    assert_eq!(shop.redeem(ann, &typed).await.unwrap(), Redeemed { amount: Usd::dollars(5), plan: None });
    assert!(matches!(shop.redeem(ann, &codes[0]).await, Err(RedeemError::AlreadyRedeemedByYou)));
    assert!(matches!(shop.redeem(bob, &codes[0]).await, Err(RedeemError::AlreadyRedeemed)));
    assert_eq!((shop.available(ann).await, shop.available(bob).await), (Usd::dollars(5), Usd::ZERO));
    let balance = shop.books.balance(&mut shop.test.db.read().await.unwrap(), ann).await.unwrap();
    let [credit] = &balance.credits[..] else { panic!("one credit") };
    assert_eq!((credit.bucket.kind, credit.bucket.expires_at), (CreditKind::Gift, NEVER));
    let cards = gift_cards::cards(&mut shop.test.db.read().await.unwrap(), created.batch_id, CardFilter::All, None, 10).await.unwrap();
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
    let voiding = tokio::spawn(async move { gift_cards::void_batch(&db, &kit, ADMIN, batch).await.unwrap() });
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
    let cards = gift_cards::cards(&mut shop.test.db.read().await.unwrap(), created.batch_id, CardFilter::All, None, 10).await.unwrap();
    gift_cards::void_card(&shop.test.db, &shop.kit, ADMIN, cards[1].id).await.unwrap();
    gift_cards::void_card(&shop.test.db, &shop.kit, ADMIN, cards[1].id).await.unwrap();
    assert!(matches!(shop.redeem(ann, &codes[1]).await, Err(RedeemError::Voided)));
    shop.kit.clock.advance(999);
    shop.redeem(ann, &codes[0]).await.unwrap();
    shop.kit.clock.advance(1);
    assert!(matches!(shop.redeem(ann, &codes[2]).await, Err(RedeemError::Expired)));
    assert!(matches!(shop.redeem(ann, &codes[0]).await, Err(RedeemError::AlreadyRedeemedByYou)), "expired or not");
    assert!(matches!(gift_cards::void_card(&shop.test.db, &shop.kit, ADMIN, cards[0].id).await, Err(GiftCardError::AlreadyRedeemed)));
    for missing in [
        gift_cards::void_card(&shop.test.db, &shop.kit, ADMIN, Id(404)).await,
        gift_cards::void_batch(&shop.test.db, &shop.kit, ADMIN, Id(404)).await.map(drop),
    ] {
        assert!(matches!(missing, Err(GiftCardError::NotFound)));
    }
    assert_eq!(shop.counts(created.batch_id).await, (1, 1, 1));
    assert_eq!(shop.available(ann).await, Usd::dollars(5));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_large_batch_is_made_in_portions_that_can_be_left_and_come_back_to() {
    let shop = Shop::open().await;
    let created = shop.batch(2_750, NEVER).await;
    assert!(created.codes.is_empty(), "it is still being made");
    let view = gift_cards::batch(&mut shop.test.db.read().await.unwrap(), created.batch_id).await.unwrap().unwrap();
    assert_eq!((view.made, view.left, view.is_being_made(), view.may_download(0)), (500, 500, true, false));
    assert!(matches!(shop.download(created.batch_id).await, Err(GiftCardError::NoCodes)), "not before all are there");
    // Several at once, as after a lost lease: each portion is made by one of them.
    let mut makers = JoinSet::new();
    for _ in 0..4 {
        let (db, kit, secret) = (shop.test.db.clone(), shop.kit.clone(), shop.secret.clone());
        makers.spawn(async move { gift_cards::make_due(&db, &kit, &secret).await.unwrap() });
    }
    assert_eq!(makers.join_all().await.into_iter().sum::<usize>(), 2_250);
    let view = gift_cards::batch(&mut shop.test.db.read().await.unwrap(), created.batch_id).await.unwrap().unwrap();
    assert_eq!((view.made, view.left, view.is_being_made()), (2_750, 2_750, false));
    assert!(!view.may_show(shop.kit.clock.now_ms()), "too many for a page");
    let codes = shop.download(created.batch_id).await.unwrap();
    assert_eq!(codes.iter().collect::<std::collections::HashSet<_>>().len(), 2_750);
    assert_eq!(shop.sealed().await, 0, "nobody may look at them: they are erased");
    let ann = shop.customer().await;
    for code in [&codes[0], &codes[500], &codes[2_749]] {
        shop.redeem(ann, code).await.unwrap();
    }
    let mut conn = shop.test.db.read().await.unwrap();
    let one = gift_cards::cards(&mut conn, created.batch_id, CardFilter::All, None, 100).await.unwrap();
    let two = gift_cards::cards(&mut conn, created.batch_id, CardFilter::All, one.last().map(|card| card.id), 100).await.unwrap();
    assert!(codes[99].ends_with(&one[99].tail) && codes[100].ends_with(&two[0].tail), "in the order of the file");
    let redeemed = gift_cards::cards(&mut conn, created.batch_id, CardFilter::Redeemed, None, 100).await.unwrap();
    assert_eq!(redeemed.iter().map(|card| card.redeemed_by).collect::<Vec<_>>(), [Some(ann); 3]);
    assert_eq!(gift_cards::cards(&mut conn, created.batch_id, CardFilter::Open, None, 5_000).await.unwrap().len(), 2_747);
    drop(conn);
    let too_many = NewBatch::of(Usd::dollars(1), gift_cards::MAX_COUNT + 1);
    assert!(matches!(shop.make(too_many).await, Err(GiftCardError::Invalid(_))));
    shop.close().await;
}

#[tokio::test]
async fn a_batch_of_a_hundred_thousand_is_made_whole() {
    let shop = Shop::open().await;
    let first = shop.batch(1, NEVER).await;
    let created = shop.batch(gift_cards::MAX_COUNT, NEVER).await;
    let mut rounds = 0;
    while shop.make_due().await > 0 {
        rounds += 1;
    }
    assert!(rounds >= 4, "a round is a portion of the work: {rounds}");
    let codes = shop.download(created.batch_id).await.unwrap();
    assert_eq!(codes.iter().collect::<std::collections::HashSet<_>>().len(), 100_000);
    assert_eq!(shop.counts(created.batch_id).await, (0, 0, 100_000));
    let mut conn = shop.test.db.read().await.unwrap();
    let page = gift_cards::batches(&mut conn, None, None, 1).await.unwrap();
    assert_eq!((page[0].id, page[0].note.as_str(), page[0].created_by), (created.batch_id, "spring", ADMIN));
    assert_eq!(gift_cards::batches(&mut conn, None, Some(page[0].id), 10).await.unwrap()[0].id, first.batch_id);
    assert!(gift_cards::batches(&mut conn, Some(Origin::Sold), None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn voiding_a_batch_that_is_being_made_ends_it() {
    let shop = Shop::open().await;
    let batch = shop.batch(10_000, NEVER).await.batch_id;
    assert_eq!(gift_cards::void_batch(&shop.test.db, &shop.kit, ADMIN, batch).await.unwrap(), 500);
    assert_eq!((shop.make_due().await, shop.sealed().await), (0, 0));
    assert_eq!(shop.counts(batch).await, (0, 500, 0));
    assert!(matches!(shop.download(batch).await, Err(GiftCardError::NoCodes)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_who_fetch_the_codes_at_once_one_gets_them() {
    let shop = Arc::new(Shop::open().await);
    let created = shop.batch(3, NEVER).await;
    let mut racers = JoinSet::new();
    for _ in 0..50 {
        let (shop, batch) = (Arc::clone(&shop), created.batch_id);
        racers.spawn(async move { shop.download(batch).await.ok() });
    }
    let got: Vec<_> = racers.join_all().await.into_iter().flatten().collect();
    assert_eq!(got, [texts(&created)], "the same codes as were shown, to one");
    assert!(shop.show(created.batch_id).await.is_err(), "the answer to the form showed them");
    assert_eq!(shop.sealed().await, 0);
    let large = shop.batch(800, NEVER).await.batch_id;
    shop.make_due().await;
    let mut racers = JoinSet::new();
    for _ in 0..50 {
        let shop = Arc::clone(&shop);
        racers.spawn(async move { (shop.show(large).await.is_ok(), shop.download(large).await.is_ok()) });
    }
    let got = racers.join_all().await;
    assert_eq!((got.iter().filter(|got| got.0).count(), got.iter().filter(|got| got.1).count()), (1, 1));
    assert_eq!(shop.sealed().await, 0);
    let deeds = admin_log::recent(&mut shop.test.db.read().await.unwrap(), None, 10).await.unwrap();
    assert_eq!(deeds.iter().filter(|event| event.action == "gift-cards-downloaded").count(), 2);
}

#[tokio::test]
async fn codes_that_nobody_came_for_are_erased_after_a_day_and_open_with_the_secret_alone() {
    let shop = Shop::open().await;
    let created = shop.batch(3, NEVER).await;
    let kept: String = sqlx::query_scalar("SELECT codes FROM gift_card_sealed").fetch_one(&mut *shop.test.db.read().await.unwrap()).await.unwrap();
    assert!(texts(&created).iter().all(|code| !kept.contains(code.as_str())));
    let other = AppSecret::generate(&shop.kit.random);
    shop.kit.clock.advance(DAY_MS - 1);
    assert_eq!(gift_cards::erase_old(&shop.test.db, &shop.kit).await.unwrap(), 0);
    shop.kit.clock.advance(1);
    assert!(matches!(shop.download(created.batch_id).await, Err(GiftCardError::NoCodes)), "erased or not");
    assert_eq!(gift_cards::erase_old(&shop.test.db, &shop.kit).await.unwrap(), 1);
    assert_eq!(shop.sealed().await, 0);
    let another = shop.batch(3, NEVER).await.batch_id;
    assert!(gift_cards::download(&shop.test.db, &shop.kit, &other, ADMIN, another).await.is_err());
    assert_eq!(shop.sealed().await, 0, "nobody can ever open them");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_customer_redeems_as_many_cards_of_a_batch_as_it_says_and_no_more() {
    let shop = Shop::open().await;
    let (ann, bob) = (shop.customer().await, shop.customer().await);
    let new = NewBatch { per_customer: Some(3), ..NewBatch::of(Usd::dollars(5), 50) };
    let created = shop.make(new).await.unwrap();
    let codes = texts(&created);
    let outcomes = shop.race(&[ann], &codes).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Err(RedeemError::LimitReached))).count(), 47, "{outcomes:?}");
    assert_eq!(shop.available(ann).await, Usd::dollars(15));
    assert_eq!(shop.counts(created.batch_id).await, (3, 0, 47), "what was refused is still free");
    let outcomes = shop.race(&[bob], &codes).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3, "each customer for themselves");
    let unlimited = texts(&shop.batch(5, NEVER).await);
    assert!(shop.race(&[ann], &unlimited).await.iter().all(Result::is_ok));
    shop.close().await;
}

#[tokio::test]
async fn whose_money_a_card_is_depends_on_where_it_comes_from() {
    let shop = Shop::open().await;
    let ann = shop.customer().await;
    let sold = NewBatch { origin: Origin::Sold, prefix: "FAIR".into(), ..NewBatch::of(Usd::dollars(20), 1) };
    let code = texts(&shop.make(sold).await.unwrap()).remove(0);
    assert!(code.starts_with("FAIR-"));
    shop.redeem(ann, &code).await.unwrap();
    assert_eq!((shop.house(House::Cash).await, shop.house(House::Promotion).await), (20_000_000_000, 0));
    shop.redeem(ann, &texts(&shop.batch(1, NEVER).await)[0]).await.unwrap();
    assert_eq!((shop.house(House::Cash).await, shop.house(House::Promotion).await), (20_000_000_000, 5_000_000_000));
    let balance = shop.books.balance(&mut shop.test.db.read().await.unwrap(), ann).await.unwrap();
    let mut kinds: Vec<_> = balance.credits.iter().map(|credit| (credit.bucket.kind, credit.bucket.posted)).collect();
    kinds.sort_by_key(|(_, amount)| *amount);
    assert_eq!(kinds, [(CreditKind::Gift, Usd::dollars(5)), (CreditKind::Paid, Usd::dollars(20))]);
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_card_for_a_plan_begins_it_once_and_its_worth_comes_from_where_the_card_does() {
    let shop = Shop::open().await;
    let ann = shop.customer().await;
    let plan = plans::save(&shop.test.db, &shop.kit, ADMIN, None, &crate::plans::draft(&[("name", "Gold"), ("allowance", "8")])).await.unwrap();
    for (origin, house) in [(Origin::Given, House::Promotion), (Origin::Sold, House::Cash)] {
        let before = shop.house(house).await;
        let created = shop.make(NewBatch { plan: Some(plan), origin, ..NewBatch::of(Usd::dollars(10), 1) }).await.unwrap();
        let outcomes = shop.race(&[ann; 50], &texts(&created)).await;
        let won: Vec<_> = outcomes.iter().flatten().collect();
        assert_eq!(won, [&Redeemed { amount: Usd::dollars(10), plan: Some(plan) }]);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(RedeemError::AlreadyRedeemedByYou))), "{outcomes:?}");
        assert_eq!(shop.house(house).await - before, 10_000_000_000);
        assert_eq!(gift_cards::batch(&mut shop.test.db.read().await.unwrap(), created.batch_id).await.unwrap().unwrap().plan, Some(plan));
    }
    let mine = plans::of_user(&mut shop.test.db.read().await.unwrap(), ann, None, 10).await.unwrap();
    assert_eq!(mine.iter().map(|one| one.terms.len()).sum::<usize>(), 2, "a term for each card: {mine:?}");
    let unknown = shop.make(NewBatch { plan: Some(Id(404)), ..NewBatch::of(Usd::dollars(10), 1) }).await;
    assert!(matches!(unknown, Err(GiftCardError::Invalid(mistakes)) if mistakes[0].field == "plan"));
    shop.close().await;
}

#[tokio::test]
async fn cards_are_found_by_their_last_letters_and_by_who_redeemed_them() {
    let shop = Shop::open().await;
    let ann = shop.customer().await;
    let codes = texts(&shop.batch(20, NEVER).await);
    let mut conn = shop.test.db.read().await.unwrap();
    for typed in [codes[3].clone(), codes[3][20..].to_lowercase(), format!("…{}", &codes[3][25..]).replace('…', "")] {
        let found = gift_cards::find_cards(&mut conn, &typed, None, 10).await.unwrap().unwrap();
        assert!(found.iter().any(|card| codes[3].ends_with(&card.tail)), "{typed}");
        assert!(found.iter().all(|card| codes[3].ends_with(&card.tail)), "{typed}");
    }
    assert_eq!(gift_cards::find_cards(&mut conn, "abc", None, 10).await.unwrap(), None);
    assert_eq!(gift_cards::find_cards(&mut conn, "", None, 10).await.unwrap(), None);
    drop(conn);
    for (n, code) in codes[..5].iter().enumerate() {
        shop.redeem(ann, code).await.unwrap();
        shop.kit.clock.advance(n as i64 % 2);
    }
    let mut conn = shop.test.db.read().await.unwrap();
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = gift_cards::cards_of(&mut conn, ann, before, 2).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some((last.at, last.id));
        seen.extend(page.iter().map(|card| card.tail.clone()));
    }
    let expected: Vec<_> = codes[..5].iter().rev().map(|code| code[25..].to_owned()).collect();
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn codes_of_the_last_release_still_redeem() {
    let test = TestDb::as_of(7).await;
    let kit = kit();
    let ann = verified_user(&test.db, &kit).await;
    // A card as 0.1.0 made it; its code was 0000-0000-0000-0000-0000-0 and the three letters that prove it.
    let digest = farebox::kernel::secrets::digest(&"0".repeat(21));
    let alphabet = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let check: String = digest[..3].iter().map(|byte| alphabet[usize::from(byte & 31)] as char).collect();
    let code = format!("{}{check}", "0".repeat(21));
    let mut tx = test.db.write().await.unwrap();
    sqlx::query("INSERT INTO gift_card_batch (id, amount, count, note, expires_at, created_by, created_at) VALUES (5, 7000000000, 1, '', $1, 1, 1)")
        .bind(NEVER)
        .execute(&mut *tx)
        .await
        .unwrap();
    let insert = sqlx::query("INSERT INTO gift_card (id, batch_id, hash, tail) VALUES (6, 5, $1, $2)");
    insert.bind(farebox::kernel::secrets::hash(&code)).bind(&code[20..]).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    farebox::db::migrate(&test.db).await.unwrap();
    let view = gift_cards::batch(&mut test.db.read().await.unwrap(), Id(5)).await.unwrap().unwrap();
    assert_eq!((view.made, view.left, view.is_being_made(), view.may_download(0), view.origin), (1, 1, false, false, Origin::Given));
    let got = gift_cards::redeem(&test.db, &kit, &Books::new(kit.clone()), ann, &code).await.unwrap();
    assert_eq!(got.amount, Usd::dollars(7));
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
    assert!(shop.make(NewBatch::of(Usd::dollars(5), 3)).await.is_err());
    assert_eq!(gift_cards::batches(&mut shop.test.db.read().await.unwrap(), None, None, 10).await.unwrap().len(), 1);
}
