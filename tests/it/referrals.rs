//! Customers who bring others: who counts, what is held, and that both sides get theirs once.

use crate::harness::shop::{PASSWORD, SOURCE, email, password};
use crate::harness::{Shop, people};
use farebox::accounts::{SignUp, User};
use farebox::i18n::Lang;
use farebox::kernel::secrets::AppSecret;
use farebox::kernel::{Id, Usd, clock::DAY_MS};
use farebox::ledger::{Books, audit};
use farebox::referrals::{self, Invitation, Rules, Search, State};
use std::sync::Arc;
use tokio::task::JoinSet;

const ADMIN: Id = Id(1);
/// What an order must come to, and one that does.
const PAID: Usd = Usd::dollars(10);

fn rules() -> Rules {
    Rules { enabled: true, reward: Usd::dollars(5), welcome: Usd::dollars(3), minimum: PAID, hold_days: 14, cap: 20 }
}

struct Club {
    shop: Shop,
    books: Books,
    ann: User,
    code: String,
}

impl Club {
    async fn open(rules: Rules) -> Arc<Self> {
        let shop = Shop::open().await;
        referrals::save_rules(&shop.test.db, &shop.kit, ADMIN, &rules).await.unwrap();
        let ann = shop.sign_up("ann@example.com").await;
        let token = shop.last_mail().await.token();
        shop.accounts.verify(&token).await.unwrap();
        referrals::make_link(&shop.test.db, &shop.kit, ann.id, "mark-of-ann").await.unwrap();
        let code = referrals::link(&mut shop.test.db.read().await.unwrap(), ann.id).await.unwrap().unwrap().code;
        Arc::new(Self { books: Books::new(shop.kit.clone()), shop, ann, code })
    }

    /// Signs somebody up who came by Ann's link, and opens the mailed link.
    async fn bring(&self, address: &str, mark: &str) -> Id {
        self.bring_by(address, &self.code, mark).await
    }

    async fn bring_by(&self, address: &str, code: &str, mark: &str) -> Id {
        let invitation = Some(Invitation { code: code.to_owned(), mark: mark.to_owned() });
        let form = SignUp { email: email(address), password: password(PASSWORD), lang: Lang::En, invitation };
        // Each from an address of their own, as limits count it.
        self.shop.accounts.sign_up(&form, &format!("{SOURCE}:{address}")).await.unwrap();
        let token = self.shop.last_mail().await.token();
        self.shop.accounts.verify(&token).await.unwrap().id
    }

    async fn paid(&self, user: Id, order: i64, amount: Usd) -> bool {
        let mut tx = self.shop.test.db.write().await.unwrap();
        let held = referrals::order_paid(&mut tx, &self.shop.kit, user, Id(order), amount).await.unwrap();
        tx.commit().await.unwrap();
        held
    }

    async fn undone(&self, order: i64) -> bool {
        let mut tx = self.shop.test.db.write().await.unwrap();
        let undone = referrals::order_undone(&mut tx, &self.shop.kit, Id(order)).await.unwrap();
        tx.commit().await.unwrap();
        undone
    }

    async fn grant_due(&self) -> usize {
        referrals::grant_due(&self.shop.test.db, &self.shop.kit, &self.books).await.unwrap()
    }

    async fn available(&self, user: Id) -> Usd {
        self.books.balance(&mut self.shop.test.db.read().await.unwrap(), user).await.unwrap().available
    }

    async fn all(&self) -> Vec<(Id, State, bool)> {
        let all = referrals::search(&mut self.shop.test.db.read().await.unwrap(), Search::default(), None, 100).await.unwrap();
        all.into_iter().rev().map(|one| (one.user, one.state, one.same_source)).collect()
    }

    async fn close(&self) {
        let report = audit(&self.shop.test.db).await.unwrap();
        assert!(report.is_clean(), "{:?}", report.findings);
    }
}

#[tokio::test]
async fn both_sides_get_credit_when_the_first_paid_order_has_been_held() {
    let club = Club::open(rules()).await;
    let bob = club.bring("bob@example.org", "elsewhere").await;
    assert_eq!(club.all().await, [(bob, State::Joined, false)]);
    assert!(!club.paid(bob, 1, Usd(9_999_999_999)).await, "too small");
    assert!(!club.paid(club.ann.id, 2, PAID).await, "nobody brought Ann");
    assert!(club.paid(bob, 3, PAID).await);
    assert!(!club.paid(bob, 4, PAID).await, "the first one only");
    club.shop.kit.clock.advance(14 * DAY_MS - 1);
    assert_eq!((club.grant_due().await, club.available(bob).await), (0, Usd::ZERO));
    // What was promised when the order was paid holds.
    referrals::save_rules(&club.shop.test.db, &club.shop.kit, ADMIN, &Rules { enabled: false, reward: Usd(1), welcome: Usd(1), ..rules() }).await.unwrap();
    club.shop.kit.clock.advance(1);
    assert_eq!((club.grant_due().await, club.grant_due().await), (1, 0));
    assert_eq!((club.available(club.ann.id).await, club.available(bob).await), (Usd::dollars(5), Usd::dollars(3)));
    assert!(!club.undone(3).await, "the time is over");
    let brought = referrals::brought_by(&mut club.shop.test.db.read().await.unwrap(), club.ann.id, None, 10).await.unwrap();
    assert_eq!((brought[0].masked().as_str(), brought[0].state, brought[0].rewarded), ("b…@example.org", State::Granted, true));
    club.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn fifty_deliveries_of_one_paid_order_and_fifty_grants_credit_once() {
    let club = Club::open(Rules { hold_days: 0, ..rules() }).await;
    let bob = club.bring("bob@example.org", "elsewhere").await;
    let mut racers = JoinSet::new();
    for _ in 0..50 {
        let club = Arc::clone(&club);
        racers.spawn(async move {
            let held = club.paid(bob, 7, PAID).await;
            (held, club.grant_due().await)
        });
    }
    let outcomes = racers.join_all().await;
    assert_eq!(outcomes.iter().filter(|(held, _)| *held).count(), 1);
    assert_eq!(outcomes.iter().map(|(_, granted)| granted).sum::<usize>(), 1);
    assert_eq!((club.available(club.ann.id).await, club.available(bob).await), (Usd::dollars(5), Usd::dollars(3)));
    club.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_referrer_gets_as_many_rewards_as_the_shop_says_and_those_who_came_all_get_theirs() {
    let club = Club::open(Rules { hold_days: 0, cap: 4, ..rules() }).await;
    let mut brought = Vec::new();
    for n in 0..12 {
        brought.push(club.bring(&format!("friend{n}@example.org"), &format!("elsewhere{n}")).await);
    }
    let mut racers = JoinSet::new();
    for (n, user) in brought.iter().copied().enumerate() {
        let club = Arc::clone(&club);
        racers.spawn(async move {
            club.paid(user, 100 + n as i64, PAID).await;
            club.grant_due().await
        });
    }
    assert_eq!(racers.join_all().await.into_iter().sum::<usize>() + club.grant_due().await, 12);
    assert_eq!(club.available(club.ann.id).await, Usd::dollars(20), "four of five dollars");
    for user in brought {
        assert_eq!(club.available(user).await, Usd::dollars(3));
    }
    let link = referrals::link(&mut club.shop.test.db.read().await.unwrap(), club.ann.id).await.unwrap().unwrap();
    assert_eq!(link.rewarded, 4);
    club.close().await;
}

#[tokio::test]
async fn a_refund_a_dispute_or_a_shut_account_within_the_time_undoes_it() {
    let club = Club::open(rules()).await;
    let (bob, eve) = (club.bring("bob@example.org", "a").await, club.bring("eve@example.org", "b").await);
    assert!(club.paid(bob, 1, PAID).await && club.paid(eve, 2, PAID).await);
    assert!(club.undone(1).await && !club.undone(1).await && !club.undone(404).await);
    assert!(!club.paid(bob, 3, PAID).await, "no second try");
    people::disable(&club.shop.test.db, eve, Some(5)).await;
    club.shop.kit.clock.advance(15 * DAY_MS);
    assert_eq!(club.grant_due().await, 0);
    assert_eq!(club.all().await.iter().map(|one| one.1).collect::<Vec<_>>(), [State::Undone, State::Undone]);
    assert_eq!(club.available(club.ann.id).await, Usd::ZERO);
    club.close().await;
}

#[tokio::test]
async fn nobody_brings_themselves_nor_anybody_twice() {
    let club = Club::open(rules()).await;
    for address in ["ann+friend@example.com", "Ann+2@Example.com"] {
        club.bring(address, "elsewhere").await;
    }
    assert!(club.all().await.is_empty(), "Ann's own mailbox");
    let carl = club.bring("carl.c@gmail.com", "elsewhere").await;
    for address in ["carlc@gmail.com", "c.arlc+x@googlemail.com"] {
        club.bring(address, "elsewhere").await;
    }
    assert_eq!(club.all().await, [(carl, State::Joined, false)], "one mailbox is one person");
    club.shop.try_sign_up("dora@example.org", PASSWORD).await;
    club.bring("dora+again@example.org", "elsewhere").await;
    club.bring_by("eve@example.org", "0000000000", "elsewhere").await;
    assert_eq!(club.all().await.len(), 1, "who has an account already is not new, and a link that nobody has leads nowhere");
    people::disable(&club.shop.test.db, club.ann.id, Some(5)).await;
    club.bring("fay@example.org", "elsewhere").await;
    assert_eq!(club.all().await.len(), 1, "the link of an account that is shut");
}

#[tokio::test]
async fn the_same_address_is_noted_and_a_link_is_made_once() {
    let club = Club::open(rules()).await;
    let one = club.bring("one@example.org", "mark-of-ann").await;
    let two = club.bring("two@example.org", "office").await;
    let three = club.bring("three@example.org", "office").await;
    assert_eq!(club.all().await, [(one, State::Joined, true), (two, State::Joined, false), (three, State::Joined, true)]);
    let mut conn = club.shop.test.db.read().await.unwrap();
    let suspicious = Search { same_source: true, state: Some(State::Joined), referrer: Some(club.ann.id) };
    assert_eq!(referrals::search(&mut conn, suspicious, None, 10).await.unwrap().len(), 2);
    assert_eq!(referrals::search(&mut conn, suspicious, Some(three), 10).await.unwrap().len(), 1);
    assert!(referrals::search(&mut conn, Search { referrer: Some(one), ..Search::default() }, None, 10).await.unwrap().is_empty());
    drop(conn);
    referrals::make_link(&club.shop.test.db, &club.shop.kit, club.ann.id, "another").await.unwrap();
    let mut conn = club.shop.test.db.read().await.unwrap();
    assert_eq!(referrals::link(&mut conn, club.ann.id).await.unwrap().unwrap().code, club.code);
    assert_eq!(referrals::follow(&mut conn, &format!(" {} ", club.code.to_uppercase())).await.unwrap(), Some(club.code.clone()));
    for nothing in ["", "0000000000", "../account", &club.code[1..]] {
        assert_eq!(referrals::follow(&mut conn, nothing).await.unwrap(), None, "{nothing}");
    }
    let secret = AppSecret::generate(&club.shop.kit.random);
    assert_eq!(referrals::mark(&secret, "192.0.2.1"), referrals::mark(&secret, "192.0.2.1"));
    assert_ne!(referrals::mark(&secret, "192.0.2.1"), referrals::mark(&AppSecret::generate(&club.shop.kit.random), "192.0.2.1"));
    assert!(!referrals::mark(&secret, "192.0.2.1").contains("192"));
}

#[tokio::test]
async fn another_mail_to_confirm_the_address_keeps_the_invitation() {
    let club = Club::open(rules()).await;
    let invitation = Some(Invitation { code: club.code.clone(), mark: "elsewhere".to_owned() });
    let form = SignUp { email: email("bob@example.org"), password: password(PASSWORD), lang: Lang::En, invitation };
    club.shop.accounts.sign_up(&form, SOURCE).await.unwrap();
    let bob = farebox::accounts::find_by_email(&mut club.shop.test.db.read().await.unwrap(), &email("bob@example.org")).await.unwrap().unwrap();
    assert!(club.all().await.is_empty(), "whoever has not proved their address has not come");
    club.shop.accounts.resend(bob.id).await.unwrap();
    club.shop.accounts.verify(&club.shop.last_mail().await.token()).await.unwrap();
    assert_eq!(club.all().await, [(bob.id, State::Joined, false)]);
}
