//! Gift cards that customers buy for others: mailed once on their day, sent again, taken back.

use crate::harness::{TestDb, kit, verified_user};
use farebox::accounts::Email;
use farebox::gift_cards::sale::{self, SaleState, SendError, Sender};
use farebox::gift_cards::{self, Gift, GiftCardError, Recall, RedeemError, Sold};
use farebox::kernel::{Id, Kit, Usd, clock::DAY_MS};
use farebox::ledger::{Books, CreditKind, House, Posting, TransferKind, audit};
use std::sync::Arc;
use tokio::task::JoinSet;

const SENDER: Sender<'static> = Sender { site: "Tokens & Co", url: "https://shop.example.com" };

struct Shop {
    test: TestDb,
    kit: Kit,
    books: Books,
    buyer: Id,
}

impl Shop {
    async fn open() -> Arc<Self> {
        let (test, kit) = (TestDb::new().await, kit());
        let buyer = verified_user(&test.db, &kit).await;
        let books = Books::new(kit.clone());
        let mut tx = test.db.write().await.unwrap();
        books.open_wallet(&mut tx, buyer).await.unwrap();
        tx.commit().await.unwrap();
        Arc::new(Self { test, books, kit, buyer })
    }

    fn gift(&self, in_days: i64, lang: &str) -> Gift {
        let deliver_at = self.kit.clock.now_ms() + in_days * DAY_MS;
        Gift { to: "bob@example.org".into(), giver: "Ann <b>".into(), message: "Enjoy!".into(), lang: lang.into(), deliver_at }
    }

    /// As an order does when it is paid: the money and the card in one transaction.
    async fn sell(&self, order: Id, amount: Usd, gift: &Gift) -> bool {
        let mut tx = self.test.db.write().await.unwrap();
        let posting = Posting {
            user: self.buyer,
            debit: House::Cash,
            credit: House::Cards,
            amount,
            kind: TransferKind::Sale,
            reference: format!("order:{order}"),
            idempotency_key: format!("order:{order}"),
        };
        self.books.post(&mut tx, &posting).await.unwrap();
        let new = gift_cards::issue(&mut tx, &self.kit, &Sold { order, buyer: self.buyer, amount, gift }).await.unwrap();
        tx.commit().await.unwrap();
        new
    }

    async fn deliver(&self) -> usize {
        gift_cards::deliver_due(&self.test.db, &self.kit, SENDER).await.unwrap()
    }

    async fn recall(&self, order: Id) -> Option<Recall> {
        let mut tx = self.test.db.write().await.unwrap();
        let recall = gift_cards::recall(&mut tx, &self.kit, order).await.unwrap();
        tx.commit().await.unwrap();
        recall
    }

    async fn redeem(&self, user: Id, code: &str) -> Result<gift_cards::Redeemed, RedeemError> {
        gift_cards::redeem(&self.test.db, &self.kit, &self.books, user, code).await
    }

    async fn send_to(&self, order: Id, to: &str) -> Result<(), SendError> {
        sale::send_to(&self.test.db, &self.kit, SENDER, self.buyer, order, &Email::parse(to).unwrap()).await
    }

    /// Every mail: to whom, what about, and the text.
    async fn mails(&self) -> Vec<(String, String, String)> {
        let mut conn = self.test.db.read().await.unwrap();
        sqlx::query_as("SELECT recipient, subject, body_text FROM outbox ORDER BY id").fetch_all(&mut *conn).await.unwrap()
    }

    /// The code in the last mail.
    async fn code(&self) -> String {
        let text = self.mails().await.pop().expect("a mail").2;
        let is_code = |word: &&str| word.len() == 29 && word.split('-').count() == 6;
        text.split_whitespace().map(|word| word.trim_start_matches("您的礼品卡卡号：")).find(is_code).unwrap_or_else(|| panic!("no code in {text}")).to_owned()
    }

    async fn state(&self, order: Id) -> SaleState {
        sale::sale(&mut self.test.db.read().await.unwrap(), self.buyer, order).await.unwrap().expect("a sale").state
    }

    async fn house(&self, house: House) -> i64 {
        let sql = "SELECT CAST(COALESCE(SUM(CASE WHEN debit = $1 THEN amount ELSE -amount END), 0) AS BIGINT) FROM transfer WHERE debit = $1 OR credit = $1";
        sqlx::query_scalar(sql).bind(house.number()).fetch_one(&mut *self.test.db.read().await.unwrap()).await.unwrap()
    }

    async fn close(&self) {
        let report = audit(&self.test.db).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
    }
}

#[tokio::test]
async fn a_bought_card_is_mailed_on_its_day_and_becomes_paid_credit() {
    let shop = Shop::open().await;
    assert!(shop.sell(Id(70), Usd::dollars(25), &shop.gift(3, "en")).await);
    assert!(!shop.sell(Id(70), Usd::dollars(25), &shop.gift(3, "en")).await, "the order is paid once");
    assert_eq!((shop.deliver().await, shop.state(Id(70)).await), (0, SaleState::Waiting));
    let codes: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM gift_card").fetch_one(&mut *shop.test.db.read().await.unwrap()).await.unwrap();
    assert_eq!(codes, 0, "before its day there is no code");
    shop.kit.clock.advance(3 * DAY_MS);
    assert_eq!((shop.deliver().await, shop.deliver().await, shop.state(Id(70)).await), (1, 0, SaleState::Sent));
    let mails = shop.mails().await;
    let [(to, subject, text)] = &mails[..] else { panic!("one mail: {mails:?}") };
    assert_eq!((to.as_str(), subject.as_str()), ("bob@example.org", "Ann <b> has a gift for you"));
    assert!(text.contains("$25.00") && text.contains("Enjoy!") && text.contains("https://shop.example.com/account/gift-cards"), "{text}");
    let code = shop.code().await;
    let bob = verified_user(&shop.test.db, &shop.kit).await;
    assert_eq!(shop.house(House::Cards).await, -25_000_000_000);
    shop.redeem(bob, &code).await.unwrap();
    assert_eq!((shop.house(House::Cards).await, shop.state(Id(70)).await), (0, SaleState::Redeemed));
    let balance = shop.books.balance(&mut shop.test.db.read().await.unwrap(), bob).await.unwrap();
    assert_eq!((balance.available, balance.credits[0].bucket.kind), (Usd::dollars(25), CreditKind::Paid));
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_postmen_at_once_mail_each_card_once_and_the_letter_is_in_its_language() {
    let shop = Shop::open().await;
    for n in 0..5 {
        shop.sell(Id(70 + n), Usd::dollars(5), &shop.gift(0, "zh")).await;
    }
    let mut postmen = JoinSet::new();
    for _ in 0..10 {
        let shop = Arc::clone(&shop);
        postmen.spawn(async move { shop.deliver().await });
    }
    assert_eq!(postmen.join_all().await.into_iter().sum::<usize>(), 5);
    let mails = shop.mails().await;
    assert_eq!(mails.len(), 5);
    assert!(mails.iter().all(|(_, subject, _)| subject == "Ann <b> 送给您一份礼物"), "{mails:?}");
}

#[tokio::test]
async fn a_letter_that_went_astray_is_sent_again_with_another_code() {
    let shop = Shop::open().await;
    shop.sell(Id(70), Usd::dollars(25), &shop.gift(1, "en")).await;
    shop.send_to(Id(70), "bobby@example.org").await.unwrap();
    assert!(shop.mails().await.is_empty(), "its day has not come");
    shop.kit.clock.advance(DAY_MS);
    shop.deliver().await;
    let first = shop.code().await;
    shop.send_to(Id(70), "bob@example.net").await.unwrap();
    let second = shop.code().await;
    let addresses: Vec<_> = shop.mails().await.into_iter().map(|mail| mail.0).collect();
    assert_eq!(addresses, ["bobby@example.org", "bob@example.net"]);
    let bob = verified_user(&shop.test.db, &shop.kit).await;
    assert!(matches!(shop.redeem(bob, &first).await, Err(RedeemError::Voided)));
    shop.redeem(bob, &second).await.unwrap();
    assert!(matches!(shop.send_to(Id(70), "eve@example.org").await, Err(SendError::AlreadyRedeemed)));
    assert_eq!(sale::sale(&mut shop.test.db.read().await.unwrap(), shop.buyer, Id(70)).await.unwrap().unwrap().to, "bob@example.net");
    let stranger = sale::send_to(&shop.test.db, &shop.kit, SENDER, bob, Id(70), &Email::parse("eve@example.org").unwrap()).await;
    assert!(matches!(stranger, Err(SendError::NotFound)), "only its buyer");
    shop.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refund_and_fifty_hands_on_the_card_end_with_one_of_them() {
    let shop = Shop::open().await;
    let bob = verified_user(&shop.test.db, &shop.kit).await;
    for n in 0..6 {
        let order = Id(70 + n);
        shop.sell(order, Usd::dollars(5), &shop.gift(0, "en")).await;
        shop.deliver().await;
        let code = shop.code().await;
        let mut racers = JoinSet::new();
        for _ in 0..25 {
            let (shop, code) = (Arc::clone(&shop), code.clone());
            racers.spawn(async move { shop.redeem(bob, &code).await.is_ok() });
        }
        let refund = tokio::spawn({
            let shop = Arc::clone(&shop);
            async move { shop.recall(order).await }
        });
        let redeemed = racers.join_all().await.into_iter().filter(|done| *done).count();
        match refund.await.unwrap() {
            Some(Recall::Recalled) => assert_eq!((redeemed, shop.state(order).await), (0, SaleState::Recalled)),
            Some(Recall::Redeemed { user, .. }) => assert_eq!((redeemed, user, shop.state(order).await), (1, bob, SaleState::Redeemed)),
            None => panic!("the order has a card"),
        }
        assert_eq!(shop.recall(order).await, shop.recall(order).await, "however often it is told");
    }
    shop.close().await;
}

#[tokio::test]
async fn a_card_that_was_taken_back_is_never_mailed_and_no_admin_voids_what_was_paid() {
    let shop = Shop::open().await;
    shop.sell(Id(70), Usd::dollars(5), &shop.gift(1, "en")).await;
    assert_eq!(shop.recall(Id(70)).await, Some(Recall::Recalled));
    assert_eq!(shop.recall(Id(71)).await, None, "an order that bought something else");
    shop.kit.clock.advance(2 * DAY_MS);
    assert_eq!((shop.deliver().await, shop.mails().await.len()), (0, 0));
    assert!(matches!(shop.send_to(Id(70), "bob@example.net").await, Err(SendError::Recalled)));
    shop.sell(Id(72), Usd::dollars(5), &shop.gift(0, "en")).await;
    shop.deliver().await;
    let code = shop.code().await;
    let card = gift_cards::find_cards(&mut shop.test.db.read().await.unwrap(), &code, None, 1).await.unwrap().unwrap().remove(0);
    assert!(matches!(gift_cards::void_card(&shop.test.db, &shop.kit, Id(1), card.id).await, Err(GiftCardError::Bought)));
    assert!(matches!(gift_cards::void_batch(&shop.test.db, &shop.kit, Id(1), card.batch).await, Err(GiftCardError::Bought)));
    let bought = sale::bought(&mut shop.test.db.read().await.unwrap(), shop.buyer, None, 10).await.unwrap();
    assert_eq!(bought.iter().map(|view| (view.order, view.state)).collect::<Vec<_>>(), [(Id(72), SaleState::Sent), (Id(70), SaleState::Recalled)]);
    assert_eq!(sale::bought(&mut shop.test.db.read().await.unwrap(), shop.buyer, Some(Id(72)), 10).await.unwrap().len(), 1);
    shop.redeem(verified_user(&shop.test.db, &shop.kit).await, &code).await.unwrap();
    shop.close().await;
}
