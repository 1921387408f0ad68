//! The program as whoever runs it meets it: its commands, what it says, and its exit codes.

use crate::harness::TestApp;
use crate::harness::TestDb;
use crate::harness::app::APP_SECRET;
use crate::harness::child::{Serving, Settings, farebox};
use farebox::db::Engine;
use farebox::demo::upstream::{Options, Upstream};
use farebox::kernel::Usd;
use futures_util::StreamExt;
use rustix::process::Signal;
use serde_json::json;
use std::io::Write;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

/// Runs a command to its end, with a text on its standard input.
async fn run(arguments: &[&str], folder: &Path, settings: Settings<'_>, input: &str) -> Ended {
    let mut command = farebox(arguments, folder, settings);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let input = input.to_owned();
    let wait = move || {
        let mut child = command.spawn().expect("the program starts");
        // A program that refuses its arguments need not read.
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        child.wait_with_output().expect("the program ends")
    };
    Ended::from(tokio::task::spawn_blocking(wait).await.expect("the thread ends"))
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A database with a customer who made a request, and nobody who serves from it.
async fn used_shop() -> TestApp {
    let mut shop = TestApp::new().await;
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    let ask = json!({"model": "demo-chat", "messages": [{"role": "user", "content": "Hello"}]});
    assert_eq!(shop.chat(&customer.key, ask).await.status(), 200);
    shop.take_server().shutdown().await;
    shop
}

async fn alter(db: &TestDb, sql: &'static str) {
    let mut tx = db.db.write().await.unwrap();
    assert_eq!(sqlx::query(sql).execute(&mut *tx).await.unwrap().rows_affected(), 1, "{sql}");
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn the_audit_needs_no_secret_and_its_exit_code_tells_clean_from_corrupt() {
    let shop = used_shop().await;
    let (folder, settings) = (shop.folder.path(), [("DATABASE_URL", shop.db.url.as_str())]);
    let clean = run(&["audit"], folder, &settings, "").await;
    assert_eq!((clean.code, clean.out.contains("The books are clean.")), (Some(0), true), "{clean:?}");
    for (damage, repair) in [
        ("UPDATE credit SET posted = posted + 1", "UPDATE credit SET posted = posted - 1"),
        ("UPDATE request SET cost = cost + 1", "UPDATE request SET cost = cost - 1"),
        ("UPDATE key_meter SET spent = spent - 1", "UPDATE key_meter SET spent = spent + 1"),
        ("UPDATE wallet SET owed = owed + 5", "UPDATE wallet SET owed = owed - 5"),
    ] {
        alter(&shop.db, damage).await;
        let corrupt = run(&["audit"], folder, &settings, "").await;
        assert_eq!(
            (corrupt.code, corrupt.out.contains("WRONG"), corrupt.out.contains("The books are not clean")),
            (Some(1), true, true),
            "{damage}: {corrupt:?}"
        );
        alter(&shop.db, repair).await;
    }
    assert_eq!(run(&["audit"], folder, &settings, "").await.code, Some(0));
}

#[tokio::test]
async fn the_audit_of_a_mistyped_path_fails_and_leaves_no_database_behind() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/wrong/farebox.db", folder.path().display());
    let ended = run(&["audit"], folder.path(), &[("DATABASE_URL", &url)], "").await;
    assert_eq!((ended.code, ended.err.contains("there is no database at"), ended.out.as_str()), (Some(1), true, ""), "{ended:?}");
    assert!(!folder.path().join("wrong").exists());
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_look_into_the_folder_of_a_new_database() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/new/farebox.db", folder.path().display());
    assert_eq!(run(&["migrate"], folder.path(), &[("DATABASE_URL", &url)], "").await.code, Some(0));
    let mode = std::fs::metadata(folder.path().join("new")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o700);
}

#[tokio::test]
async fn migrate_brings_a_database_up_to_date_as_often_as_it_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let db = TestDb::new().await;
    let fresh = format!("sqlite://{}/new/farebox.db", folder.path().display());
    for url in [fresh.as_str(), fresh.as_str(), db.url.as_str()] {
        let ended = run(&["migrate"], folder.path(), &[("DATABASE_URL", url)], "").await;
        assert_eq!((ended.code, ended.out.as_str()), (Some(0), "The database is up to date.\n"), "{ended:?}");
    }
    assert!(folder.path().join("new/farebox.db").exists());
}

#[tokio::test]
async fn the_command_line_makes_one_owner_and_more_only_by_force() {
    let (db, folder) = (TestDb::new().await, tempfile::tempdir().unwrap());
    let settings = [("DATABASE_URL", db.url.as_str()), ("APP_SECRET", APP_SECRET)];
    let create = |email: &'static str, rest: &'static [&'static str], input: &'static str| {
        let arguments: Vec<&str> = ["admin", "create-owner", "--email", email].into_iter().chain(rest.iter().copied()).collect();
        let (folder, settings) = (folder.path(), settings);
        async move { run(&arguments, folder, &settings, input).await }
    };
    let weak = create("owner@example.com", &[], "short\n").await;
    assert_eq!(weak.code, Some(1), "{weak:?}");
    assert_eq!(create("owner@example.com", &[], "").await.code, Some(1), "no password at all");
    assert_eq!(create("nobody", &[], "correct horse battery\n").await.code, Some(1));
    let made = create("owner@example.com", &[], "correct horse battery\n").await;
    assert_eq!((made.code, made.out.as_str()), (Some(0), "owner@example.com owns the shop now.\n"), "{made:?}");
    let second = create("second@example.com", &[], "correct horse battery\n").await;
    assert!(second.code == Some(1) && second.err.contains("--force"), "{second:?}");
    assert_eq!(create("second@example.com", &["--force"], "correct horse battery\n").await.code, Some(0));
    let owners: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM users WHERE role = 'owner'").fetch_one(&mut *db.db.read().await.unwrap()).await.unwrap();
    assert_eq!(owners, 2);
    for ended in [weak, made, second] {
        assert!(!ended.out.contains("correct horse") && !ended.err.contains("correct horse"), "{ended:?}");
    }
}

#[tokio::test]
async fn everything_that_is_wrong_with_the_settings_is_told_at_once_and_without_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("LISTEN", "everywhere"),
        ("BODY_LIMIT", "a lot"),
        ("DRAIN_SECONDS", "-1"),
        ("DATABASE_URL", "postgres://farebox:changeme@db.example.com/farebox"),
        ("APP_SECRET", "sesame-sesame-sesame"),
        ("REDIS_URL", "http://user:hunter2@example.com"),
        ("SMTP_HOST", "mail.example.com"),
        ("LOG_FORMAT", "xml"),
    ];
    let ended = run(&["serve"], folder.path(), &settings, "").await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for name in ["LISTEN", "BODY_LIMIT", "DRAIN_SECONDS", "DATABASE_URL", "APP_SECRET", "REDIS_URL", "MAIL_FROM", "LOG_FORMAT"] {
        assert!(ended.err.contains(name), "{name} is missing: {}", ended.err);
    }
    for secret in ["changeme", "sesame", "hunter2"] {
        assert!(!ended.err.contains(secret) && !ended.out.contains(secret), "{secret} is told: {}", ended.err);
    }
    let unknown = run(&["serv"], folder.path(), &[], "").await;
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
}

#[tokio::test]
async fn a_database_that_is_away_is_told_soon_and_without_its_password() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("DATABASE_URL", "postgres://farebox:s3cr3tpassw0rd@127.0.0.1:1/farebox"), ("APP_SECRET", APP_SECRET)];
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["audit"], &["migrate"]] {
        let started = Instant::now();
        let ended = run(command, folder.path(), &settings, "").await;
        assert!(started.elapsed() < Duration::from_secs(10), "{command:?} took {:?}", started.elapsed());
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.err.contains("cannot reach the database") && ended.err.contains("127.0.0.1:1"), "{}", ended.err);
        assert!(!ended.err.contains("s3cr3t") && !ended.out.contains("s3cr3t"), "{}", ended.err);
    }
}

#[tokio::test]
async fn the_demo_serves_this_machine_only() {
    let folder = tempfile::tempdir().unwrap();
    for listen in ["0.0.0.0:0", "[::]:0", "192.0.2.1:3000"] {
        let ended = run(&["demo", "--listen", listen], folder.path(), &[], "").await;
        assert!(ended.code == Some(1) && ended.err.contains("loopback"), "{ended:?}");
    }
    assert_eq!(run(&["demo"], folder.path(), &[("LISTEN", "0.0.0.0:0")], "").await.code, Some(1));
    assert!(!folder.path().join("data").exists(), "nothing was made");
}

#[tokio::test]
async fn two_processes_do_not_serve_from_one_file() {
    let shop = used_shop().await;
    if shop.db.db.engine() == Engine::Postgres {
        return; // there, any number may
    }
    let data = shop.folder.path().display().to_string();
    let settings = [("DATABASE_URL", shop.db.url.as_str()), ("DATA_DIR", &data), ("APP_SECRET", APP_SECRET)];
    let serving = Serving::start(shop.folder.path(), &settings).await;
    let second = run(&["serve", "--listen", "127.0.0.1:0"], shop.folder.path(), &settings, "").await;
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.err.contains("another farebox serves from this database"), "{}", second.err);
    assert_eq!(run(&["audit"], shop.folder.path(), &settings, "").await.code, Some(0), "the books can be proved while they are used");
    serving.stop().await;
    Serving::start(shop.folder.path(), &settings).await.stop().await;
}

#[tokio::test]
async fn on_sigterm_a_stream_ends_well_and_the_program_with_0() {
    let mut shop = TestApp::new().await;
    shop.upstream = Upstream::start(Options::default()).await.unwrap();
    shop.stock(&["demo-chat"]).await;
    let customer = shop.customer(Usd::dollars(1)).await;
    shop.take_server().shutdown().await;
    let data = shop.folder.path().display().to_string();
    for drain in ["30", "0"] {
        let settings = [("DATABASE_URL", shop.db.url.as_str()), ("DATA_DIR", &data), ("APP_SECRET", APP_SECRET), ("DRAIN_SECONDS", drain)];
        let serving = Serving::start(shop.folder.path(), &settings).await;
        let ask = json!({"model": "demo-chat", "stream": true, "messages": [{"role": "user", "content": "[[gate=4, tokens=12]] Hello"}]});
        let request = shop.http.post(format!("{}/v1/chat/completions", serving.url)).bearer_auth(&customer.key).json(&ask);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        shop.upstream.log().wait_held().await.unwrap();
        serving.signal(Signal::TERM);
        let address = serving.url.trim_start_matches("http://").to_owned();
        shop.until("nothing new is accepted", || async { tokio::net::TcpStream::connect(&address).await.is_err() }).await;
        if drain == "30" {
            shop.upstream.release_gate();
        }
        let pieces: Vec<_> = answer.bytes_stream().collect().await;
        assert_eq!(pieces.iter().all(Result::is_ok), drain == "30", "a stream that was cut does not look complete");
        let status = serving.ended().await;
        assert!(status.success(), "{status}");
    }
    let audit = run(&["audit"], shop.folder.path(), &[("DATABASE_URL", shop.db.url.as_str())], "").await;
    assert_eq!(audit.code, Some(0), "{audit:?}");
    let mut conn = shop.db.db.read().await.unwrap();
    let outcomes: Vec<(String, i64)> = sqlx::query_as("SELECT outcome, output_tokens FROM request ORDER BY id").fetch_all(&mut *conn).await.unwrap();
    assert_eq!(outcomes[0], ("complete".to_owned(), 12));
    assert_eq!(outcomes[1].0, "client_gone");
    assert!(outcomes[1].1 > 0, "what was delivered is charged: {outcomes:?}");
    let open: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM hold WHERE state = 'open'").fetch_one(&mut *conn).await.unwrap();
    assert_eq!(open, 0, "nothing is left for recovery");
}
