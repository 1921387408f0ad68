//! Sessions, driven through the layer as a browser drives them.

use crate::harness::Shop;
use crate::harness::shop::{PASSWORD, SOURCE, email, password, typed};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Request, Response, StatusCode, header};
use axum::routing::get;
use axum::{Extension, Router};
use farebox::accounts::User;
use farebox::i18n::Lang;
use farebox::kernel::{Kit, secrets};
use farebox::sessions::{self, ABSOLUTE_MS, IDLE_MS, Session, Store, VISITOR_IDLE_MS, csrf};
use http_body_util::BodyExt;
use tower::ServiceExt;

const MINUTE: i64 = 60_000;

/// A small site and one visitor who keeps its cookie.
struct Browser {
    site: Router,
    cookie: Option<String>,
    set_cookie: Option<String>,
}

#[derive(Clone)]
struct Pages {
    kit: Kit,
    user: User,
}

impl Browser {
    fn visit(shop: &Shop, user: &User, secure: bool) -> Self {
        let store = Store::new(shop.test.db.clone(), shop.kit.clock.clone(), shop.kit.random.clone());
        let site = Router::new()
            .route("/static", get(|| async { "nothing to see" }))
            .route("/who", get(|session: Extension<Session>| async move { format!("{:?}", sessions::user(&session).await.unwrap()) }))
            .route("/form", get(form))
            .route("/log-in", get(log_in))
            .route("/log-out", get(|session: Extension<Session>| async move { sessions::log_out(&session).await.unwrap() }))
            .route(
                "/send/{token}",
                get(|session: Extension<Session>, Path(token): Path<String>| async move { csrf::check(&session, &token).await.unwrap().to_string() }),
            )
            .route("/leave/{text}", get(|session: Extension<Session>, Path(text): Path<String>| async move { session.insert("text", text).await.unwrap() }))
            .route("/read", get(|session: Extension<Session>| async move { session.remove::<String>("text").await.unwrap().unwrap_or("nothing".into()) }))
            .with_state(Pages { kit: shop.kit.clone(), user: user.clone() })
            .layer(sessions::layer(store, secure));
        Self { site, cookie: None, set_cookie: None }
    }

    fn same_site(&self) -> Self {
        Self { site: self.site.clone(), cookie: None, set_cookie: None }
    }

    async fn get(&mut self, path: &str) -> String {
        let mut request = Request::get(path);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let response: Response<Body> = self.site.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        self.set_cookie = response.headers().get(header::SET_COOKIE).map(|value| value.to_str().unwrap().to_owned());
        if let Some(set) = &self.set_cookie {
            let pair = set.split(';').next().unwrap().to_owned();
            self.cookie = Some(pair).filter(|pair| !pair.ends_with('='));
        }
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }
}

async fn form(session: Extension<Session>, State(pages): State<Pages>) -> String {
    csrf::token(&session, &pages.kit.random).await.unwrap()
}

async fn log_in(session: Extension<Session>, State(pages): State<Pages>) {
    sessions::log_in(&session, &pages.user).await.unwrap();
}

async fn shop_and_ada() -> (Shop, User) {
    let shop = Shop::open().await;
    let ada = shop.sign_up("ada@example.com").await;
    (shop, ada)
}

fn id(user: &User) -> String {
    format!("Some({:?})", user.id)
}

#[tokio::test]
async fn a_visitor_gets_a_cookie_with_the_first_form_and_a_row_with_the_first_message() {
    let (shop, ada) = shop_and_ada().await;
    let mut browser = Browser::visit(&shop, &ada, true);
    browser.get("/static").await;
    assert_eq!(browser.get("/who").await, "None");
    assert_eq!((browser.set_cookie.as_deref(), shop.count("session").await), (None, 0));
    let token = browser.get("/form").await;
    let cookie = browser.cookie.clone();
    assert!(cookie.is_some() && shop.count("session").await == 0);
    assert_eq!(browser.get(&format!("/send/{token}")).await, "true");
    assert_eq!(browser.get("/read").await, "nothing");
    browser.get("/leave/hello").await;
    assert_eq!(shop.count("session").await, 1);
    assert_eq!((browser.get("/read").await, browser.get("/read").await), ("hello".into(), "nothing".into()));
    assert_eq!((shop.count("session").await, browser.get("/form").await == token), (0, false));
    assert_eq!(browser.cookie, cookie, "it is the same session");
}

#[tokio::test]
async fn the_cookie_is_for_this_site_s_pages_only_and_its_id_is_kept_as_a_hash() {
    let (shop, ada) = shop_and_ada().await;
    for secure in [true, false] {
        let mut browser = Browser::visit(&shop, &ada, secure);
        browser.get("/log-in").await;
        let set = browser.set_cookie.clone().unwrap();
        assert!(set.starts_with("farebox_session=") && set.contains("HttpOnly") && set.contains("SameSite=Lax") && set.contains("Path=/"), "{set}");
        assert_eq!(set.contains("Secure"), secure, "{set}");
        let cookie = browser.cookie.unwrap();
        let carried = cookie.split('=').nth(1).unwrap();
        let sql = "SELECT COUNT(*) FROM session WHERE hash = $1";
        let mut conn = shop.test.db.read().await.unwrap();
        let found: i64 = sqlx::query_scalar(sql).bind(secrets::hash(carried)).fetch_one(&mut *conn).await.unwrap();
        let in_the_clear: i64 = sqlx::query_scalar(sql).bind(carried).fetch_one(&mut *conn).await.unwrap();
        assert_eq!((found, in_the_clear), (1, 0));
    }
}

#[tokio::test]
async fn logging_in_changes_the_id_and_logging_out_ends_the_session() {
    let (shop, ada) = shop_and_ada().await;
    let mut browser = Browser::visit(&shop, &ada, true);
    let visitors_token = browser.get("/form").await;
    let mut thief = browser.same_site();
    thief.cookie = browser.cookie.clone();
    browser.get("/log-in").await;
    assert_ne!(browser.cookie, thief.cookie);
    assert_eq!((browser.get("/who").await, thief.get("/who").await), (id(&ada), "None".into()), "a fixed id is worth nothing");
    assert_eq!(browser.get(&format!("/send/{visitors_token}")).await, "false", "nor is a token from before");
    assert_eq!(shop.count("session").await, 1);
    let mut other_tab = browser.same_site();
    other_tab.cookie = browser.cookie.clone();
    browser.get("/log-out").await;
    assert_eq!((browser.cookie.as_deref(), shop.count("session").await), (None, 0));
    assert_eq!(other_tab.get("/who").await, "None");
}

#[tokio::test]
async fn a_token_is_good_in_its_own_session_only_and_never_looks_the_same() {
    let (shop, ada) = shop_and_ada().await;
    let mut browser = Browser::visit(&shop, &ada, true);
    let (one, two) = (browser.get("/form").await, browser.get("/form").await);
    assert_ne!(one, two);
    for good in [&one, &two] {
        assert_eq!(browser.get(&format!("/send/{good}")).await, "true");
    }
    let mut altered = one.clone().into_bytes();
    altered[0] = if altered[0] == b'A' { b'B' } else { b'A' };
    for bad in ["x", &"A".repeat(86), &one[..43], std::str::from_utf8(&altered).unwrap()] {
        assert_eq!(browser.get(&format!("/send/{bad}")).await, "false", "{bad}");
    }
    let mut stranger = browser.same_site();
    assert_eq!(stranger.get(&format!("/send/{one}")).await, "false");
    stranger.get("/form").await;
    assert_eq!(stranger.get(&format!("/send/{one}")).await, "false");
}

#[tokio::test]
async fn a_session_ends_a_fortnight_after_its_last_use_and_a_month_after_log_in() {
    let (shop, ada) = shop_and_ada().await;
    let mut browser = Browser::visit(&shop, &ada, true);
    browser.get("/log-in").await;
    shop.kit.clock.advance(IDLE_MS - MINUTE);
    assert_eq!(browser.get("/who").await, id(&ada));
    shop.kit.clock.advance(IDLE_MS - MINUTE);
    assert_eq!(browser.get("/who").await, id(&ada), "its use has made it last longer");
    shop.kit.clock.advance(ABSOLUTE_MS - 2 * (IDLE_MS - MINUTE) - 1);
    assert_eq!(browser.get("/who").await, id(&ada));
    shop.kit.clock.advance(1);
    assert_eq!(browser.get("/who").await, "None", "but not for ever");
    browser.get("/log-in").await;
    shop.kit.clock.advance(IDLE_MS);
    assert_eq!(browser.get("/who").await, "None", "nor without use");
}

#[tokio::test]
async fn what_a_visitor_left_is_kept_for_a_day_and_the_sweep_removes_what_has_ended() {
    let (shop, ada) = shop_and_ada().await;
    let store = Store::new(shop.test.db.clone(), shop.kit.clock.clone(), shop.kit.random.clone());
    let mut browser = Browser::visit(&shop, &ada, true);
    browser.get("/leave/hello").await;
    let mut customer = browser.same_site();
    customer.get("/log-in").await;
    shop.kit.clock.advance(VISITOR_IDLE_MS - 1);
    assert_eq!(store.sweep().await.unwrap(), 0);
    shop.kit.clock.advance(1);
    assert_eq!(browser.get("/read").await, "nothing");
    assert_eq!((store.sweep().await.unwrap(), shop.count("session").await), (1, 1));
    assert_eq!(customer.get("/who").await, id(&ada));
}

#[tokio::test]
async fn a_row_is_not_rewritten_for_every_page() {
    let (shop, ada) = shop_and_ada().await;
    let mut browser = Browser::visit(&shop, &ada, true);
    browser.get("/log-in").await;
    let seen = async || {
        let mut conn = shop.test.db.read().await.unwrap();
        sqlx::query_scalar::<_, i64>("SELECT seen_at FROM session").fetch_one(&mut *conn).await.unwrap()
    };
    let first = seen().await;
    shop.kit.clock.advance(4 * MINUTE);
    browser.get("/who").await;
    assert_eq!((seen().await, browser.set_cookie.as_deref()), (first, None));
    shop.kit.clock.advance(MINUTE);
    browser.get("/who").await;
    assert_eq!(seen().await, first + 5 * MINUTE);
}

#[tokio::test]
async fn a_reset_password_and_a_shut_account_end_every_session() {
    let (shop, ada) = shop_and_ada().await;
    let mut browser = Browser::visit(&shop, &ada, true);
    browser.get("/log-in").await;
    shop.accounts.request_reset(&email("ada@example.com"), Lang::En, SOURCE).await.unwrap();
    shop.accounts.reset(&shop.last_mail().await.token(), &password("a better password"), SOURCE).await.unwrap();
    assert_eq!(browser.get("/who").await, "None");
    let token = browser.get("/form").await;
    assert_eq!(browser.get(&format!("/send/{token}")).await, "true", "the browser begins another one");

    let ada = shop.accounts.log_in(&typed("ada@example.com", "a better password"), SOURCE).await.unwrap();
    let mut browser = Browser::visit(&shop, &ada, true);
    browser.get("/log-in").await;
    assert_eq!(browser.get("/who").await, id(&ada));
    let owner = shop.accounts.create_owner(&email("owner@example.com"), &password(PASSWORD), Lang::En, false).await.unwrap();
    shop.accounts.set_disabled(&owner, ada.id, true).await.unwrap();
    assert_eq!(browser.get("/who").await, "None");
    shop.accounts.set_disabled(&owner, ada.id, false).await.unwrap();
    assert_eq!(browser.get("/who").await, "None", "what has ended does not come back");
}

#[tokio::test]
async fn a_request_that_was_under_way_does_not_bring_an_ended_session_back() {
    use tower_sessions::SessionStore;
    let (shop, ada) = shop_and_ada().await;
    let store = Store::new(shop.test.db.clone(), shop.kit.clock.clone(), shop.kit.random.clone());
    let session = Session::new(None, std::sync::Arc::new(store.clone()), None);
    sessions::log_in(&session, &ada).await.unwrap();
    session.save().await.unwrap();
    let record = store.load(&session.id().unwrap()).await.unwrap().unwrap();
    session.flush().await.unwrap();
    store.save(&record).await.unwrap();
    assert_eq!(shop.count("session").await, 0);
    let after = Session::new(Some(record.id), std::sync::Arc::new(store), None);
    assert_eq!(sessions::user(&after).await.unwrap(), None);
}

#[tokio::test]
async fn a_cookie_of_nonsense_is_no_session() {
    let (shop, ada) = shop_and_ada().await;
    let mut browser = Browser::visit(&shop, &ada, true);
    for nonsense in ["farebox_session=x", "farebox_session=", "farebox_session=AAAAAAAAAAAAAAAAAAAAAA", "farebox_session='; DROP TABLE session"] {
        browser.cookie = Some(nonsense.to_owned());
        assert_eq!(browser.get("/who").await, "None", "{nonsense}");
    }
}
