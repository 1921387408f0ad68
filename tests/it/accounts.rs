//! Accounts: the whole life of one, what strangers cannot learn, and links that work once.

use crate::harness::Shop;
use crate::harness::shop::{PASSWORD, SOURCE, email, password, typed};
use farebox::accounts::{self, AccountError, LinkError, Role, SignUp};
use farebox::db::revision::{self, Topic};
use farebox::i18n::Lang;
use farebox::kernel::clock::DAY_MS;
use farebox::{admin_log, ledger};
use futures_util::future::join_all;

const ADA: &str = "Ada@example.com";

#[tokio::test]
async fn signing_up_makes_an_account_with_a_wallet_that_the_mailed_link_verifies() {
    let shop = Shop::open().await;
    let ada = shop.sign_up(ADA).await;
    assert_eq!((ada.email.as_str(), ada.role, ada.may_spend(), ada.lang()), (ADA, Role::Customer, false, Lang::En));
    let balance = ledger::Books::new(shop.kit.clone()).balance(&mut shop.test.db.read().await.unwrap(), ada.id).await.unwrap();
    assert!(balance.credits.is_empty());
    let mail = shop.last_mail().await;
    assert_eq!((mail.to.as_str(), mail.sent), (ADA, false));
    assert!(mail.subject.contains("Farebox") && mail.text.contains("https://shop.example.com/verify?token="), "{mail:?}");
    assert!(mail.html.contains(&format!("href=\"https://shop.example.com/verify?token={}\"", mail.token())), "{}", mail.html);
    let kept: Vec<(String,)> = sqlx::query_as("SELECT hash FROM auth_token").fetch_all(&mut *shop.test.db.read().await.unwrap()).await.unwrap();
    assert!(kept.len() == 1 && kept[0].0 != mail.token(), "only a hash is kept");

    let verified = shop.accounts.verify(&mail.token()).await.unwrap();
    assert!(verified.id == ada.id && verified.may_spend());
    assert!(matches!(shop.accounts.verify(&mail.token()).await, Err(AccountError::Link(LinkError::Used))));
    assert!(matches!(shop.accounts.verify("made-up").await, Err(AccountError::Link(LinkError::Unknown))));
    assert!(matches!(shop.accounts.resend(ada.id).await, Err(AccountError::AlreadyVerified)));
}

#[tokio::test]
async fn a_verification_link_ends_after_two_days_and_another_can_be_had() {
    let shop = Shop::open().await;
    let ada = shop.sign_up(ADA).await;
    let first = shop.last_mail().await.token();
    shop.kit.clock.advance(2 * DAY_MS);
    assert!(matches!(shop.accounts.verify(&first).await, Err(AccountError::Link(LinkError::Expired))));
    shop.accounts.resend(ada.id).await.unwrap();
    let second = shop.last_mail().await.token();
    assert!(matches!(shop.accounts.check_reset(&second).await, Err(AccountError::Link(LinkError::Unknown))), "it is not a reset link");
    shop.accounts.verify(&second).await.unwrap();
    shop.kit.clock.advance(10 * DAY_MS);
    assert_eq!(shop.accounts.sweep().await.unwrap(), 2);
}

#[tokio::test]
async fn a_link_that_is_opened_twenty_times_at_once_works_once() {
    let shop = Shop::open().await;
    shop.sign_up(ADA).await;
    let token = shop.last_mail().await.token();
    let opened = join_all((0..20).map(|_| shop.accounts.verify(&token))).await;
    assert_eq!(opened.iter().filter(|result| result.is_ok()).count(), 1);
    assert!(opened.iter().all(|result| matches!(result, Ok(_) | Err(AccountError::Link(LinkError::Used)))), "{opened:?}");

    shop.accounts.request_reset(&email(ADA), Lang::En, SOURCE).await.unwrap();
    let token = shop.last_mail().await.token();
    let passwords: Vec<_> = (0..20).map(|n| password(&format!("another password {n}"))).collect();
    let opened = join_all(passwords.iter().map(|password| shop.accounts.reset(&token, password, SOURCE))).await;
    assert_eq!(opened.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(opened.into_iter().flatten().next().unwrap().session_epoch, 1, "sessions ended once");
}

#[tokio::test]
async fn twenty_sign_ups_at_once_make_one_account() {
    let shop = Shop::open().await;
    let form = SignUp { email: email(ADA), password: password(PASSWORD), lang: Lang::En, invitation: None };
    // Five is what the limit lets through.
    let done = join_all((0..20).map(|_| shop.accounts.sign_up(&form, SOURCE))).await;
    assert_eq!(done.iter().filter(|result| result.is_ok()).count(), 5);
    assert_eq!((shop.count("users").await, shop.count("wallet").await, shop.count("outbox").await), (1, 1, 5));
    let links = shop.mails().await;
    let verified = join_all(links.iter().map(async |mail| shop.accounts.verify(&mail.token()).await.is_ok())).await;
    assert_eq!(verified.iter().filter(|ok| **ok).count(), 1, "only the latest link works");
}

#[tokio::test]
async fn signing_up_with_a_taken_address_changes_nothing_and_tells_only_the_mailbox() {
    let shop = Shop::open().await;
    let ada = shop.sign_up(ADA).await;
    shop.accounts.verify(&shop.last_mail().await.token()).await.unwrap();
    let (links, before) = (shop.count("auth_token").await, shop.find(ada.id).await);
    shop.try_sign_up("ADA@EXAMPLE.COM", "a stranger's password").await;
    let mail = shop.last_mail().await;
    assert!(mail.subject.contains("already have an account") && !mail.text.contains("token="), "{mail:?}");
    assert_eq!(shop.find(ada.id).await, before);
    assert_eq!(shop.count("auth_token").await, links + 1, "the same rows are written");
    shop.accounts.log_in(&typed(ADA, PASSWORD), SOURCE).await.unwrap();
}

#[tokio::test]
async fn a_stranger_cannot_choose_the_password_of_an_address_that_is_not_theirs() {
    let shop = Shop::open().await;
    let ada = shop.sign_up(ADA).await;
    let stranger = shop.last_mail().await.token();
    shop.try_sign_up(ADA, "the owner's own password").await;
    assert!(shop.find(ada.id).await.session_epoch > ada.session_epoch, "the stranger is logged out");
    assert!(matches!(shop.accounts.verify(&stranger).await, Err(AccountError::Link(LinkError::Expired))));
    shop.accounts.verify(&shop.last_mail().await.token()).await.unwrap();
    assert!(matches!(shop.accounts.log_in(&typed(ADA, PASSWORD), SOURCE).await, Err(AccountError::WrongLogIn)));
    shop.accounts.log_in(&typed(ADA, "the owner's own password"), SOURCE).await.unwrap();
}

#[tokio::test]
async fn logging_in_needs_the_password_and_an_open_account() {
    let shop = Shop::open().await;
    let ada = shop.sign_up(ADA).await;
    let user = shop.accounts.log_in(&typed(" ada@EXAMPLE.com ", PASSWORD), SOURCE).await.unwrap();
    assert_eq!((user.id, user.may_spend()), (ada.id, false), "without verification one may look");
    assert_eq!(shop.find(ada.id).await.last_login_at, Some(shop.kit.clock.now_ms()));
    for (address, attempt) in
        [(ADA, "wrong password"), ("bob@example.com", PASSWORD), ("no address", PASSWORD), ("", ""), (ADA, ""), (ADA, &"x".repeat(100_000))]
    {
        let refused = shop.accounts.log_in(&typed(address, attempt), SOURCE).await;
        assert!(matches!(refused, Err(AccountError::WrongLogIn)), "{address}: {refused:?}");
    }
    let owner = shop.accounts.create_owner(&email("owner@example.com"), &password(PASSWORD), Lang::En, false).await.unwrap();
    shop.accounts.set_disabled(&owner, ada.id, true).await.unwrap();
    assert!(matches!(shop.accounts.log_in(&typed(ADA, PASSWORD), SOURCE).await, Err(AccountError::Disabled)));
    assert!(matches!(shop.accounts.log_in(&typed(ADA, "wrong password"), SOURCE).await, Err(AccountError::WrongLogIn)), "only the password's owner learns it");
}

#[tokio::test]
async fn guessing_is_limited_by_account_and_the_right_password_ends_the_count() {
    let shop = Shop::open().await;
    shop.sign_up(ADA).await;
    for _ in 0..9 {
        assert!(matches!(shop.accounts.log_in(&typed(ADA, "wrong password"), SOURCE).await, Err(AccountError::WrongLogIn)));
    }
    shop.accounts.log_in(&typed(ADA, PASSWORD), SOURCE).await.unwrap();
    for _ in 0..10 {
        assert!(matches!(shop.accounts.log_in(&typed(ADA, "wrong password"), SOURCE).await, Err(AccountError::WrongLogIn)));
    }
    assert!(matches!(shop.accounts.log_in(&typed(ADA, PASSWORD), SOURCE).await, Err(AccountError::TooMany(_))));
    assert!(matches!(shop.accounts.log_in(&typed(ADA, PASSWORD), "198.51.100.1").await, Err(AccountError::TooMany(_))), "from anywhere");
}

#[tokio::test]
async fn a_reset_needs_the_mailed_link_and_ends_every_session() {
    let shop = Shop::open().await;
    let ada = shop.sign_up(ADA).await;
    shop.accounts.request_reset(&email("ada@example.com"), Lang::Zh, SOURCE).await.unwrap();
    let mail = shop.last_mail().await;
    assert!(mail.to == ADA && mail.text.contains("https://shop.example.com/reset?token="), "{mail:?}");
    assert!(mail.subject.starts_with("Choose"), "in the account's language, not in the visitor's: {}", mail.subject);
    shop.accounts.check_reset(&mail.token()).await.unwrap();
    assert!(matches!(shop.accounts.verify(&mail.token()).await, Err(AccountError::Link(LinkError::Unknown))), "it is not a verification link");
    let changed = shop.accounts.reset(&mail.token(), &password("a better password"), SOURCE).await.unwrap();
    assert!(changed.may_spend(), "the mailbox is proved to be theirs");
    assert_eq!(changed.session_epoch, ada.session_epoch + 1);
    assert!(shop.last_mail().await.subject.contains("was changed"));
    assert!(matches!(shop.accounts.check_reset(&mail.token()).await, Err(AccountError::Link(LinkError::Used))));
    assert!(matches!(shop.accounts.log_in(&typed(ADA, PASSWORD), SOURCE).await, Err(AccountError::WrongLogIn)));
    shop.accounts.log_in(&typed(ADA, "a better password"), SOURCE).await.unwrap();
}

#[tokio::test]
async fn of_two_reset_links_the_second_dies_with_the_first_and_both_after_an_hour() {
    let shop = Shop::open().await;
    shop.sign_up(ADA).await;
    let ask = async || {
        shop.accounts.request_reset(&email(ADA), Lang::En, SOURCE).await.unwrap();
        shop.last_mail().await.token()
    };
    let (first, second) = (ask().await, ask().await);
    shop.accounts.reset(&first, &password("a better password"), SOURCE).await.unwrap();
    assert!(matches!(shop.accounts.reset(&second, &password("a worse password"), SOURCE).await, Err(AccountError::Link(LinkError::Expired))));
    let third = ask().await;
    shop.kit.clock.advance(60 * 60_000);
    assert!(matches!(shop.accounts.check_reset(&third).await, Err(AccountError::Link(LinkError::Expired))));
}

#[tokio::test]
async fn asking_for_an_unknown_address_writes_the_same_rows_and_mails_nobody() {
    let shop = Shop::open().await;
    shop.sign_up(ADA).await;
    let rows = async || (shop.count("auth_token").await, shop.count("outbox").await);
    let start = rows().await;
    shop.accounts.request_reset(&email(ADA), Lang::En, SOURCE).await.unwrap();
    let known = rows().await;
    shop.accounts.request_reset(&email("nobody@example.com"), Lang::En, SOURCE).await.unwrap();
    let unknown = rows().await;
    assert_eq!((known.0 - start.0, known.1 - start.1), (unknown.0 - known.0, unknown.1 - known.1));
    let mail = shop.last_mail().await;
    assert_eq!((mail.to.as_str(), mail.sent), ("", true));
    let refused = shop.accounts.reset(&mail.token(), &password("a better password"), SOURCE).await;
    assert!(matches!(refused, Err(AccountError::Link(_))), "a link for nobody opens nothing: {refused:?}");
}

#[tokio::test]
async fn a_shop_has_one_owner_unless_another_is_forced() {
    let shop = Shop::open().await;
    let make = async |address: &str, force| shop.accounts.create_owner(&email(address), &password(PASSWORD), Lang::En, force).await;
    let first = make("owner@example.com", false).await.unwrap();
    assert!(first.role == Role::Owner && first.may_spend() && first.is_admin());
    assert!(matches!(make("other@example.com", false).await, Err(AccountError::OwnerExists)));
    assert_eq!(make("other@example.com", true).await.unwrap().role, Role::Owner);
    let ada = shop.sign_up(ADA).await;
    let crowned = make(ADA, true).await.unwrap();
    assert_eq!((crowned.id, crowned.role, crowned.session_epoch), (ada.id, Role::Owner, ada.session_epoch + 1));
    let events = admin_log::recent(&mut shop.test.db.read().await.unwrap(), None, 10).await.unwrap();
    assert_eq!(events.iter().filter(|event| event.action == "owner-created" && event.actor.is_none()).count(), 3);
}

#[tokio::test]
async fn twenty_owners_at_once_are_one() {
    let shop = Shop::open().await;
    let addresses: Vec<_> = (0..20).map(|n| email(&format!("owner{n}@example.com"))).collect();
    let password = password(PASSWORD);
    let made = join_all(addresses.iter().map(|address| shop.accounts.create_owner(address, &password, Lang::En, false))).await;
    assert_eq!(made.iter().filter(|result| result.is_ok()).count(), 1, "{made:?}");
    assert_eq!(shop.count("users").await, 1);
}

#[tokio::test]
async fn an_account_is_shut_by_those_above_it_and_its_keys_are_told() {
    let shop = Shop::open().await;
    let owner = shop.accounts.create_owner(&email("owner@example.com"), &password(PASSWORD), Lang::En, false).await.unwrap();
    let (ada, bob) = (shop.sign_up(ADA).await, shop.sign_up("bob@example.com").await);
    let revision = async || revision::current(&mut shop.test.db.read().await.unwrap()).await.unwrap().of(Topic::Keys);
    let before = revision().await;
    shop.accounts.set_disabled(&owner, ada.id, true).await.unwrap();
    assert_eq!(revision().await, before + 1);
    let shut = shop.find(ada.id).await;
    assert!(shut.disabled_at.is_some() && shut.session_epoch == ada.session_epoch + 1);
    shop.accounts.set_disabled(&owner, ada.id, true).await.unwrap();
    assert_eq!(shop.find(ada.id).await, shut, "shutting it twice is shutting it once");
    for (actor, target) in [(&bob, ada.id), (&bob, owner.id), (&owner, owner.id)] {
        assert!(matches!(shop.accounts.set_disabled(actor, target, false).await, Err(AccountError::NotAllowed)));
    }
    shop.accounts.set_disabled(&owner, ada.id, false).await.unwrap();
    assert_eq!(shop.find(ada.id).await.disabled_at, None);
    let events = admin_log::recent(&mut shop.test.db.read().await.unwrap(), None, 2).await.unwrap();
    assert_eq!(events.iter().map(|event| event.action.as_str()).collect::<Vec<_>>(), ["user-enabled", "user-disabled"]);
    assert!(events.iter().all(|event| event.actor == Some(owner.id) && event.target == ada.id.to_string()));
}

#[tokio::test]
async fn people_are_found_by_part_of_their_address_page_by_page() {
    let shop = Shop::open().await;
    assert!(!accounts::exists_any(&mut shop.test.db.read().await.unwrap()).await.unwrap());
    for address in ["ada@example.com", "a_a@example.com", "Bob@Example.com", "eve@elsewhere.example"] {
        shop.sign_up(address).await;
    }
    let mut conn = shop.test.db.read().await.unwrap();
    assert!(accounts::exists_any(&mut conn).await.unwrap());
    let emails = |users: &[accounts::User]| users.iter().map(|user| user.email.clone()).collect::<Vec<_>>();
    let first = accounts::list(&mut conn, "", None, 3).await.unwrap();
    assert_eq!(emails(&first), ["eve@elsewhere.example", "Bob@example.com", "a_a@example.com"]);
    let second = accounts::list(&mut conn, "", Some(first[2].id), 3).await.unwrap();
    assert_eq!(emails(&second), ["ada@example.com"]);
    assert_eq!(emails(&accounts::list(&mut conn, " BOB@ex", None, 10).await.unwrap()), ["Bob@example.com"]);
    assert_eq!(emails(&accounts::list(&mut conn, "a_a", None, 10).await.unwrap()), ["a_a@example.com"], "wildcards are ordinary letters");
    assert!(accounts::list(&mut conn, "%", None, 10).await.unwrap().is_empty());
}
