//! The mail that brings a document.

use super::document::{Document, Kind};
use super::issue::Office;
use super::{file_name, pdf};
use crate::kernel::Id;
use crate::mail::{Attachment, Letter, Message, Recipient};

/// In the document's language, with the document or a link to it.
pub(super) fn message(office: &Office, id: Id, document: &Document, to: String, with_file: bool) -> Message {
    let lang = document.lang();
    let (number, amount, heading) = (&document.number, document.shown(document.gross.abs()), document.heading());
    let names = [("heading", heading.as_str()), ("number", number), ("amount", &amount), ("site", &office.site), ("what", &document.line.text)];
    let text = match document.kind {
        Kind::Invoice => lang.with("letters.bill.paid", &names),
        Kind::Credit => lang.with("letters.bill.back", &names),
        Kind::Cancellation => lang.with("letters.bill.back_failed", &names),
    };
    let letter = Letter {
        lang,
        site_name: office.site.clone(),
        subject: lang.with("letters.bill.subject", &names),
        paragraphs: vec![text],
        action: lang.t("letters.bill.action").into_owned(),
        link: format!("{}/account/invoices/{id}", office.url),
        note: lang.t("letters.bill.note").into_owned(),
    };
    let attachment = with_file.then(|| Attachment { name: file_name(document), content: pdf::render(&document.sheet()) });
    Message { attachment, ..letter.to(Recipient::Address(to)) }
}
