//! Documents of what was paid and of what went back.

mod corrections;
mod crash;
mod mailed;
mod numbers;
mod pages;
mod snapshots;

use crate::payments::Till;
use farebox::invoices::{self, Filter, First, Listed, Terms, TermsDraft};
use farebox::kernel::Id;

/// Every document, in the order in which they were issued.
pub async fn documents(till: &Till) -> Vec<Listed> {
    let mut all = invoices::list(&mut till.shop.app.db.read().await.unwrap(), &Filter::default(), None, 1_000).await.unwrap();
    all.reverse();
    all
}

/// Their numbers.
pub async fn numbers(till: &Till) -> Vec<String> {
    documents(till).await.into_iter().map(|document| document.number).collect()
}

/// Puts terms in force whose rows of numbers begin at one.
pub async fn set(till: &Till, actor: Id, terms: Terms) {
    let one = First { number: 1, digits: 6 };
    set_from(till, actor, TermsDraft { terms, first: one, credit_first: one }).await;
}

/// Puts terms in force.
pub async fn set_from(till: &Till, actor: Id, draft: TermsDraft) {
    let mut tx = till.shop.app.db.write().await.unwrap();
    invoices::set_terms(&mut tx, &till.shop.app.kit, actor, &draft).await.unwrap();
    tx.commit().await.unwrap();
}
