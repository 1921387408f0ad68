//! What stands on a document, in its language and in the order in which it is read: the one form from which both the page and the PDF are made.

/// A document in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// The tag of its language.
    pub lang: &'static str,
    /// What it is.
    pub heading: String,
    /// Its number.
    pub number: String,
    /// Number, day, order, and whatever else identifies it: the label and the value.
    pub facts: Vec<(String, String)>,
    /// What is written over the seller.
    pub seller_label: String,
    /// The seller, their name first.
    pub seller: Vec<String>,
    /// What is written over the buyer.
    pub buyer_label: String,
    /// The buyer, their name or address first.
    pub buyer: Vec<String>,
    /// What is written over the lines.
    pub columns: (String, String),
    /// What was bought, and what was taken off, with its amount.
    pub lines: Vec<(String, String)>,
    /// What the total is made of.
    pub parts: Vec<(String, String)>,
    /// All of it.
    pub total: (String, String),
    /// Sentences under it.
    pub notes: Vec<String>,
    /// What the seller writes at the end.
    pub footer: String,
    /// `%{page}` of `%{pages}`, to be filled in.
    pub page_of: String,
}
