//! How documents reach their buyers.

use super::set;
use crate::payments::Till;
use farebox::invoices::{Mailing, Terms};

/// The mails that have left, as they are in the folder.
async fn mails(till: &Till) -> Vec<String> {
    let outbox = &till.shop.app.outbox;
    till.shop
        .until("every mail has left", || async {
            outbox.send_due().await.unwrap();
            outbox.waiting().await.unwrap() == 0
        })
        .await;
    let folder = till.shop.folder.path().join("mail");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some()).collect();
    files.sort();
    files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}

#[tokio::test]
async fn a_document_goes_by_mail_as_a_file_or_as_a_link_or_not_at_all() {
    for mailing in [Mailing::Pdf, Mailing::Link, Mailing::Off] {
        let till = Till::held().await;
        let customer = till.customer().await;
        set(&till, customer.user.id, Terms { prefix: "INV/".into(), mailing, ..Terms::default() }).await;
        till.paid(customer.user.id, 10, 0).await;
        let sent: Vec<String> = mails(&till).await.into_iter().filter(|mail| mail.contains("INV/000001")).collect();
        match mailing {
            Mailing::Off => assert!(sent.is_empty()),
            Mailing::Link => assert!(sent.len() == 1 && !sent[0].contains("application/pdf"), "{sent:?}"),
            Mailing::Pdf => {
                assert!(sent.len() == 1 && sent[0].contains("Content-Type: application/pdf") && sent[0].contains("filename=\"INV-000001.pdf\""), "{sent:?}");
                let part = sent[0].split("application/pdf").nth(1).unwrap().split("\r\n\r\n").nth(1).unwrap();
                let base64: String = part.lines().take_while(|line| !line.starts_with("--")).collect();
                let pdf = data_encoding::BASE64.decode(base64.as_bytes()).unwrap();
                assert!(pdf.starts_with(b"%PDF-1.") && pdf.ends_with(b"%%EOF"));
            }
        }
        if mailing != Mailing::Off {
            assert!(sent[0].contains("/account/invoices/"), "{}", sent[0]);
            let mut conn = till.shop.app.db.read().await.unwrap();
            let kept: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM outbox WHERE attachment IS NOT NULL").fetch_one(&mut *conn).await.unwrap();
            assert_eq!(kept, 0, "what has left is not kept a second time");
        }
        till.finish().await;
    }
}
