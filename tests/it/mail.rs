//! The outbox: what is sent once, what is tried again, and what it looks like when it arrives in the folder.

use crate::harness::{START_MS, Shop};
use farebox::config::{Delivery, MailConfig};
use farebox::db::Db;
use farebox::kernel::Kit;
use farebox::kernel::clock::DAY_MS;
use farebox::mail::{self, GIVE_UP_AFTER, Message, Outbox, Recipient, Sent, Transport};
use futures_util::future::join_all;
use std::path::{Path, PathBuf};

fn to_folder(shop: &Shop, folder: &Path) -> Outbox {
    let config = MailConfig { from: "Shop <shop@example.com>".parse().unwrap(), delivery: Delivery::Folder(folder.to_owned()) };
    Outbox::new(shop.test.db.clone(), shop.kit.clock.clone(), Transport::new(&config).unwrap())
}

async fn write(db: &Db, kit: &Kit, to: Recipient) {
    let message = Message { to, subject: "Grüße 你好".into(), text: "plain text\n".into(), html: "<p>rich text</p>".into(), attachment: None };
    let mut tx = db.write().await.unwrap();
    mail::enqueue(&mut tx, kit, &message).await.unwrap();
    tx.commit().await.unwrap();
}

async fn write_to(shop: &Shop, to: &str) {
    write(&shop.test.db, &shop.kit, Recipient::Address(to.into())).await;
}

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).map_or_else(|_| Vec::new(), |entries| entries.map(|entry| entry.unwrap().path()).collect())
}

/// What the database keeps of the only mail.
async fn row(shop: &Shop) -> (i64, i64, Option<i64>, Option<i64>, Option<String>, String) {
    let sql = "SELECT attempts, next_attempt_at, sent_at, failed_at, last_error, body_text FROM outbox";
    sqlx::query_as(sql).fetch_one(&mut *shop.test.db.read().await.unwrap()).await.unwrap()
}

#[tokio::test]
async fn a_mail_leaves_once_and_its_text_leaves_the_database() {
    let (shop, folder) = (Shop::open().await, tempfile::tempdir().unwrap());
    let outbox = to_folder(&shop, &folder.path().join("mail"));
    write_to(&shop, "ada@example.com").await;
    assert_eq!(outbox.waiting().await.unwrap(), 1);
    assert_eq!(outbox.send_due().await.unwrap(), Sent { sent: 1, ..Sent::default() });
    let [file] = files(&folder.path().join("mail")).try_into().unwrap();
    let mail = std::fs::read_to_string(file).unwrap();
    for line in
        ["From: Shop <shop@example.com>", "To: ada@example.com", "Auto-Submitted: auto-generated", "multipart/alternative", "plain text", "<p>rich text</p>"]
    {
        assert!(mail.contains(line), "{line}: {mail}");
    }
    assert!(mail.contains("Message-ID: <") && mail.contains("@example.com>") && mail.contains("Date: Thu, 01 Jan 2026"), "{mail}");
    assert!(!mail.contains("你好") && mail.contains("Subject: =?utf-8?b?"), "headers are ASCII: {mail}");
    let (attempts, _, sent_at, failed_at, error, text) = row(&shop).await;
    assert_eq!((attempts, sent_at, failed_at, error, text), (1, Some(START_MS), None, None, String::new()));
    assert_eq!(outbox.waiting().await.unwrap(), 0);
}

#[tokio::test]
async fn eight_who_send_at_once_send_each_mail_once() {
    let (shop, folder) = (Shop::open().await, tempfile::tempdir().unwrap());
    let outbox = to_folder(&shop, folder.path());
    for n in 0..20 {
        write_to(&shop, &format!("customer{n}@example.com")).await;
    }
    let rounds = join_all((0..8).map(|_| outbox.send_due())).await;
    assert_eq!(rounds.into_iter().map(|round| round.unwrap().sent).sum::<u32>(), 20);
}

#[cfg(unix)]
#[tokio::test]
async fn mail_in_the_folder_is_for_its_owner_s_eyes() {
    use std::os::unix::fs::PermissionsExt;
    let (shop, folder) = (Shop::open().await, tempfile::tempdir().unwrap());
    write_to(&shop, "ada@example.com").await;
    to_folder(&shop, folder.path()).send_due().await.unwrap();
    let [file] = files(folder.path()).try_into().unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_folder_that_cannot_be_made_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let blocked = folder.path().join("mail");
    std::fs::write(&blocked, "").unwrap();
    let config = MailConfig { from: "Shop <shop@example.com>".parse().unwrap(), delivery: Delivery::Folder(blocked.clone()) };
    assert!(Transport::new(&config).unwrap_err().to_string().contains(blocked.to_str().unwrap()));
}

#[tokio::test]
async fn a_mail_to_nobody_is_never_sent() {
    let (shop, folder) = (Shop::open().await, tempfile::tempdir().unwrap());
    write(&shop.test.db, &shop.kit, Recipient::Nobody).await;
    assert_eq!(to_folder(&shop, folder.path()).send_due().await.unwrap(), Sent::default());
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn what_cannot_be_sent_is_tried_again_later_and_later_and_given_up() {
    let (shop, folder) = (Shop::open().await, tempfile::tempdir().unwrap());
    let blocked = folder.path().join("mail");
    let outbox = to_folder(&shop, &blocked);
    // From now on a file stands where the folder was: nothing can be written.
    std::fs::remove_dir(&blocked).unwrap();
    std::fs::write(&blocked, "").unwrap();
    write_to(&shop, "ada@example.com").await;
    let mut pauses = Vec::new();
    for attempt in 1..GIVE_UP_AFTER {
        assert_eq!(outbox.send_due().await.unwrap(), Sent { retried: 1, ..Sent::default() });
        assert_eq!(outbox.send_due().await.unwrap(), Sent::default(), "not before its time");
        let (attempts, next, sent_at, failed_at, error, _) = row(&shop).await;
        assert_eq!((attempts, sent_at, failed_at), (attempt, None, None));
        assert!(error.is_some_and(|error| !error.is_empty()));
        pauses.push((next - shop.kit.clock.now_ms()) / 1000);
        shop.kit.clock.advance(next - shop.kit.clock.now_ms());
    }
    assert_eq!(pauses, [10, 30, 90, 270, 810, 2430, 7200, 7200, 7200]);
    assert_eq!(outbox.send_due().await.unwrap(), Sent { failed: 1, ..Sent::default() });
    let (attempts, _, sent_at, failed_at, error, text) = row(&shop).await;
    assert_eq!((attempts, sent_at, failed_at, text), (GIVE_UP_AFTER, None, Some(shop.kit.clock.now_ms()), String::new()));
    assert!(error.is_some());
    shop.kit.clock.advance(DAY_MS);
    assert_eq!((outbox.send_due().await.unwrap(), outbox.waiting().await.unwrap()), (Sent::default(), 0));
}

#[tokio::test]
async fn a_mail_whose_sender_died_is_sent_after_its_claim_under_the_same_message_id() {
    let (shop, folder) = (Shop::open().await, tempfile::tempdir().unwrap());
    write_to(&shop, "ada@example.com").await;
    let outbox = to_folder(&shop, folder.path());
    outbox.send_due().await.unwrap();
    let id = |folder: &Path| {
        let mail = std::fs::read_to_string(&files(folder)[0]).unwrap();
        mail.lines().find(|line| line.starts_with("Message-ID")).unwrap().to_owned()
    };
    let first = id(folder.path());
    // As if the process had died after sending and before saying so.
    let mut tx = shop.test.db.write().await.unwrap();
    sqlx::query("UPDATE outbox SET sent_at = NULL").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(outbox.send_due().await.unwrap(), Sent::default(), "the claim still holds");
    shop.kit.clock.advance(120_000);
    assert_eq!(outbox.send_due().await.unwrap().sent, 1);
    assert_eq!((files(folder.path()).len(), id(folder.path())), (1, first));
}

#[tokio::test]
async fn many_mails_leave_in_the_order_of_their_rounds_and_old_rows_are_swept() {
    let (shop, folder) = (Shop::open().await, tempfile::tempdir().unwrap());
    let outbox = to_folder(&shop, folder.path());
    for n in 0..45 {
        write_to(&shop, &format!("customer{n}@example.com")).await;
    }
    let mut rounds = Vec::new();
    while outbox.waiting().await.unwrap() > 0 {
        rounds.push(outbox.send_due().await.unwrap().sent);
    }
    assert_eq!((rounds, files(folder.path()).len()), (vec![20, 20, 5], 45));
    write_to(&shop, "late@example.com").await;
    shop.kit.clock.advance(31 * DAY_MS);
    assert_eq!((outbox.sweep().await.unwrap(), shop.count("outbox").await), (45, 1));
}

#[tokio::test]
async fn a_mail_that_is_rolled_back_with_its_cause_was_never_written() {
    let shop = Shop::open().await;
    let mut tx = shop.test.db.write().await.unwrap();
    let message = Message { to: Recipient::Address("ada@example.com".into()), subject: "s".into(), text: "t".into(), html: "h".into(), attachment: None };
    mail::enqueue(&mut tx, &shop.kit, &message).await.unwrap();
    drop(tx);
    assert_eq!(shop.count("outbox").await, 0);
}
