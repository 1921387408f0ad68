//! Claiming a new shop with the one-time link, and what is set in it.

use crate::harness::Shop;
use crate::harness::shop::{PASSWORD, SOURCE, email, password, typed};
use farebox::accounts::{AccountError, Claim, LinkError, Role};
use farebox::db::revision::{self, Topic};
use farebox::i18n::Lang;
use farebox::settings::{self, BadSiteName, Name, SiteName};
use futures_util::future::join_all;

fn claim(n: usize) -> Claim {
    Claim { email: email(&format!("owner{n}@example.com")), password: password(PASSWORD), site_name: SiteName::parse("Tokens & Co").unwrap(), lang: Lang::Zh }
}

async fn offer(shop: &Shop) -> String {
    let link = shop.accounts.offer_setup().await.unwrap().expect("the shop has no owner");
    link.strip_prefix("https://shop.example.com/setup?token=").expect("a link to the setup page").to_owned()
}

#[tokio::test]
async fn whoever_opens_the_setup_link_owns_and_names_the_shop() {
    let shop = Shop::open().await;
    assert_eq!(shop.settings.now().site_name, "Farebox");
    let old = offer(&shop).await;
    let token = offer(&shop).await;
    assert!(shop.accounts.check_setup(&old, SOURCE).await.is_err(), "a new link takes the place of the old one");
    assert!(matches!(shop.accounts.claim(&old, &claim(0), SOURCE).await, Err(AccountError::Link(LinkError::Unknown))));
    shop.accounts.check_setup(&token, SOURCE).await.unwrap();
    let owner = shop.accounts.claim(&token, &claim(1), SOURCE).await.unwrap();
    assert!(owner.role == Role::Owner && owner.may_spend() && owner.lang() == Lang::Zh);
    assert_eq!(shop.settings.now().site_name, "Tokens & Co");
    shop.accounts.log_in(&typed("owner1@example.com", PASSWORD), SOURCE).await.unwrap();
    assert!(shop.accounts.claim(&token, &claim(2), SOURCE).await.is_err());
    assert_eq!(shop.accounts.offer_setup().await.unwrap(), None);
    assert!(shop.accounts.check_setup(&token, SOURCE).await.is_err());
}

#[tokio::test]
async fn twenty_claims_at_once_make_one_owner() {
    let shop = Shop::open().await;
    let token = offer(&shop).await;
    let claims: Vec<_> = (0..20).map(claim).collect();
    let claimed = join_all(claims.iter().map(|claim| shop.accounts.claim(&token, claim, SOURCE))).await;
    assert_eq!(claimed.iter().filter(|result| result.is_ok()).count(), 1, "{claimed:?}");
    assert_eq!(shop.count("users").await, 1);
}

#[tokio::test]
async fn an_owner_from_the_command_line_closes_the_setup_link() {
    let shop = Shop::open().await;
    let token = offer(&shop).await;
    shop.accounts.create_owner(&email("owner@example.com"), &password(PASSWORD), Lang::En, false).await.unwrap();
    assert!(shop.accounts.claim(&token, &claim(0), SOURCE).await.is_err());
    assert_eq!(shop.count("users").await, 1);
}

#[tokio::test]
async fn a_new_name_reaches_other_nodes_through_the_revision() {
    let shop = Shop::open().await;
    let other = settings::Snapshot::load(&shop.test.db).await.unwrap();
    let revision = async || revision::current(&mut shop.test.db.read().await.unwrap()).await.unwrap().of(Topic::Settings);
    let before = revision().await;
    let mut tx = shop.test.db.write().await.unwrap();
    settings::set_site_name(&mut tx, shop.kit.clock.now_ms(), &SiteName::parse("  令牌商店 ").unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(revision().await, before + 1);
    assert_eq!(other.now().site_name, "Farebox");
    other.refresh(&shop.test.db).await.unwrap();
    assert_eq!((other.now().site_name.as_str(), other.revision()), ("令牌商店", before + 1));
}

#[tokio::test]
async fn a_row_that_twenty_take_at_once_is_taken_by_one() {
    let shop = Shop::open().await;
    let mut tx = shop.test.db.write().await.unwrap();
    settings::put(&mut tx, 1, Name::SetupToken, "hash").await.unwrap();
    tx.commit().await.unwrap();
    let take = async |value| {
        let mut tx = shop.test.db.write().await.unwrap();
        let taken = settings::take(&mut tx, Name::SetupToken, value).await.unwrap();
        tx.commit().await.unwrap();
        taken
    };
    assert!(!take("another hash").await);
    let taken = join_all((0..20).map(|_| take("hash"))).await;
    assert_eq!(taken.iter().filter(|taken| **taken).count(), 1);
}

#[test]
fn a_site_s_name_is_one_printable_line() {
    assert_eq!(SiteName::parse("  "), Err(BadSiteName::Empty));
    assert_eq!(SiteName::parse(&"é".repeat(61)), Err(BadSiteName::TooLong));
    assert_eq!(SiteName::parse("Shop\r\nBcc: eve@example.com"), Err(BadSiteName::Unprintable));
    assert_eq!(SiteName::parse(&"é".repeat(60)).unwrap().as_str().chars().count(), 60);
}
