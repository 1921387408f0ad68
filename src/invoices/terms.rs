//! Who sells, and how their documents are numbered, taxed and mailed: what an admin sets. Each version is kept.

use super::tax;
use super::text;
use crate::accounts::Email;
use crate::kernel::FieldError;
use crate::kernel::fields::Mistakes;
use serde::{Deserialize, Serialize};

/// The longest name, in characters.
pub const MAX_NAME: usize = 200;
/// The longest address, in characters and in lines.
pub const MAX_ADDRESS: (usize, usize) = (500, 8);
/// The longest number of a tax office.
pub const MAX_TAX_ID: usize = 60;
const MAX_FOOTER: (usize, usize) = (1_000, 20);
const MAX_PREFIX: usize = 20;
const MAX_TAX_NAME: usize = 30;
/// How many digits the first number of a series may have.
const MAX_DIGITS: usize = 12;

/// One side of a purchase, as documents print it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Their name; empty for a customer who has told none.
    pub name: String,
    /// Lines of an address.
    pub address: String,
    /// What the tax office calls them.
    pub tax_id: String,
    /// Where mail reaches them.
    pub email: String,
}

impl Party {
    /// The lines in which it is printed; `tax` is what stands before the number of the tax office.
    pub fn lines(&self, tax: &str) -> Vec<String> {
        let tax_id = (!self.tax_id.is_empty()).then(|| format!("{tax} {}", self.tax_id));
        let all = std::iter::once(self.name.clone()).chain(self.address.lines().map(str::to_owned)).chain(tax_id).chain([self.email.clone()]);
        all.filter(|line| !line.is_empty()).collect()
    }
}

/// What a document of a purchase is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Called {
    /// An invoice, which wants the seller's whole name and address.
    Invoice,
    /// A receipt.
    #[default]
    Receipt,
}

/// How a document reaches its buyer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mailing {
    /// By mail, as a PDF.
    #[default]
    Pdf,
    /// By mail, as a link to their account.
    Link,
    /// It lies in their account.
    Off,
}

/// What an admin sets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// What documents are called.
    pub called: Called,
    /// Who sells. Without a name, as long as nothing is set, it is the shop by its own.
    pub seller: Party,
    /// Lines at the end of each document.
    pub footer: String,
    /// What the tax is called that prices include.
    pub tax_name: String,
    /// How much it is, in basis points of the net price; 0 for none.
    pub tax_rate: i64,
    /// What the numbers of invoices begin with: each prefix has its own row of numbers.
    pub prefix: String,
    /// The same of credit notes; may be that of invoices.
    pub credit_prefix: String,
    /// How documents reach their buyers.
    pub mailing: Mailing,
}

impl Default for Terms {
    /// As in a shop where nothing is set.
    fn default() -> Self {
        Self {
            called: Called::Receipt,
            seller: Party::default(),
            footer: String::new(),
            tax_name: String::new(),
            tax_rate: 0,
            prefix: "R-".to_owned(),
            credit_prefix: "C-".to_owned(),
            mailing: Mailing::Pdf,
        }
    }
}

/// Where a row of numbers begins that has none yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct First {
    /// The first number.
    pub number: i64,
    /// It and the following ones are filled up with zeros to so many digits.
    pub digits: i64,
}

/// What was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TermsDraft {
    /// All but the numbers.
    pub terms: Terms,
    /// Where a new row of invoice numbers begins.
    pub first: First,
    /// The same for credit notes.
    pub credit_first: First,
}

/// The fields of the form, by their names.
const FIELDS: [&str; 13] =
    ["called", "name", "address", "tax_id", "email", "footer", "tax_name", "tax_rate", "prefix", "first", "credit_prefix", "credit_first", "mailing"];

impl Terms {
    /// As they are kept.
    pub fn write(&self) -> String {
        serde_json::json!(self).to_string()
    }

    /// From what was kept.
    pub fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl TermsDraft {
    /// From a form.
    ///
    /// # Errors
    /// Every mistake, by field.
    pub fn parse<'a>(value: impl Fn(&'static str) -> &'a str) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let required = |typed: Result<String, &'static str>| typed.and_then(|text| if text.is_empty() { Err("field.required") } else { Ok(text) });
        let called = mistakes.take("called", called(value("called")));
        let name = mistakes.take("name", required(text::line(value("name"), MAX_NAME)));
        let address = text::lines(value("address"), MAX_ADDRESS.0, MAX_ADDRESS.1);
        let address = mistakes.take("address", if called == Some(Called::Invoice) { required(address) } else { address });
        let tax_id = mistakes.take("tax_id", text::line(value("tax_id"), MAX_TAX_ID));
        let email = mistakes.take("email", optional_email(value("email")));
        let footer = mistakes.take("footer", text::lines(value("footer"), MAX_FOOTER.0, MAX_FOOTER.1));
        let tax_rate = mistakes.take("tax_rate", tax::parse_rate(value("tax_rate")));
        let tax_name = text::line(value("tax_name"), MAX_TAX_NAME);
        let tax_name = mistakes.take("tax_name", if tax_rate.is_some_and(|rate| rate > 0) { required(tax_name) } else { tax_name });
        let prefix = mistakes.take("prefix", prefix(value("prefix")));
        let first = mistakes.take("first", first(value("first")));
        let credit_prefix = mistakes.take("credit_prefix", self::prefix(value("credit_prefix")));
        let credit_first = mistakes.take("credit_first", self::first(value("credit_first")));
        let mailing = mistakes.take("mailing", mailing(value("mailing")));
        mistakes.check()?;
        let seller = Party {
            name: name.unwrap_or_default(),
            address: address.unwrap_or_default(),
            tax_id: tax_id.unwrap_or_default(),
            email: email.unwrap_or_default(),
        };
        let terms = Terms {
            called: called.unwrap_or_default(),
            seller,
            footer: footer.unwrap_or_default(),
            tax_name: tax_name.unwrap_or_default(),
            tax_rate: tax_rate.unwrap_or_default(),
            prefix: prefix.unwrap_or_default(),
            credit_prefix: credit_prefix.unwrap_or_default(),
            mailing: mailing.unwrap_or_default(),
        };
        let one = First { number: 1, digits: 6 };
        Ok(Self { terms, first: first.unwrap_or(one), credit_first: credit_first.unwrap_or(one) })
    }

    /// What a form shows: the fields by their names.
    pub fn fields(&self) -> [(&'static str, String); FIELDS.len()] {
        let Terms { called, seller, footer, tax_name, tax_rate, prefix, credit_prefix, mailing } = &self.terms;
        let number = |first: First| format!("{:0width$}", first.number, width = usize::try_from(first.digits).unwrap_or(1));
        let rate = if *tax_rate == 0 { String::new() } else { tax::rate_text(*tax_rate) };
        let values = [
            if *called == Called::Invoice { "invoice" } else { "receipt" }.to_owned(),
            seller.name.clone(),
            seller.address.clone(),
            seller.tax_id.clone(),
            seller.email.clone(),
            footer.clone(),
            tax_name.clone(),
            rate,
            prefix.clone(),
            number(self.first),
            credit_prefix.clone(),
            number(self.credit_first),
            match mailing {
                Mailing::Pdf => "pdf",
                Mailing::Link => "link",
                Mailing::Off => "off",
            }
            .to_owned(),
        ];
        let mut values = values.into_iter();
        FIELDS.map(|name| (name, values.next().unwrap_or_default()))
    }
}

fn called(word: &str) -> Result<Called, &'static str> {
    match word.trim() {
        "invoice" => Ok(Called::Invoice),
        "receipt" => Ok(Called::Receipt),
        _ => Err("field.required"),
    }
}

fn mailing(word: &str) -> Result<Mailing, &'static str> {
    match word.trim() {
        "pdf" => Ok(Mailing::Pdf),
        "link" => Ok(Mailing::Link),
        "off" => Ok(Mailing::Off),
        _ => Err("field.required"),
    }
}

fn optional_email(typed: &str) -> Result<String, &'static str> {
    if typed.trim().is_empty() {
        return Ok(String::new());
    }
    Email::parse(typed).map(|email| email.as_str().to_owned()).map_err(|_| "field.email")
}

/// Letters, digits and a few signs. It does not end in a digit: then two rows of numbers never have the same one.
fn prefix(typed: &str) -> Result<String, &'static str> {
    let typed = typed.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    if typed.len() > MAX_PREFIX || !typed.chars().all(plain) || typed.ends_with(|c: char| c.is_ascii_digit()) {
        return Err("bill.error.prefix");
    }
    Ok(typed.to_owned())
}

/// A first number such as `1`, or `000001` for numbers that all have six digits.
fn first(typed: &str) -> Result<First, &'static str> {
    let typed = typed.trim();
    if typed.is_empty() || typed.len() > MAX_DIGITS || !typed.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("bill.error.first");
    }
    let number = typed.parse().ok().filter(|number| *number > 0).ok_or("bill.error.first")?;
    Ok(First { number, digits: typed.len() as i64 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn typed() -> HashMap<&'static str, &'static str> {
        HashMap::from([
            ("called", "invoice"),
            ("name", " Tokens & Co "),
            ("address", "Hauptstraße 5\r\n\r\n10115 Berlin"),
            ("tax_id", "DE123"),
            ("email", "Billing@Example.COM"),
            ("footer", "HRB 1"),
            ("tax_name", "VAT"),
            ("tax_rate", "19 %"),
            ("prefix", "INV/2026-"),
            ("first", "0017"),
            ("credit_prefix", ""),
            ("credit_first", "1"),
            ("mailing", "link"),
        ])
    }

    fn parse(typed: &HashMap<&'static str, &str>) -> Result<TermsDraft, Vec<FieldError>> {
        TermsDraft::parse(|name| typed.get(name).copied().unwrap_or_default())
    }

    #[test]
    fn a_form_is_read_kept_and_shown_again() {
        let draft = parse(&typed()).unwrap();
        assert_eq!(
            (draft.terms.seller.address.as_str(), draft.terms.tax_rate, draft.first),
            ("Hauptstraße 5\n10115 Berlin", 1900, First { number: 17, digits: 4 })
        );
        assert_eq!(draft.terms.seller.lines("Tax ID"), ["Tokens & Co", "Hauptstraße 5", "10115 Berlin", "Tax ID DE123", "Billing@example.com"]);
        let shown: HashMap<&str, String> = draft.fields().into_iter().collect();
        assert_eq!(TermsDraft::parse(|name| shown[name].as_str()), Ok(draft.clone()));
        assert_eq!(Terms::read(&draft.terms.write()), Some(draft.terms));
        assert_eq!(Terms::read("{}"), None);
    }

    #[test]
    fn every_mistake_stands_at_its_field() {
        let long = "x".repeat(201);
        for (field, value, key) in [
            ("called", "bill", "field.required"),
            ("name", "", "field.required"),
            ("name", "a\u{202E}b", "bill.error.invisible"),
            ("name", &long, "bill.error.too_long"),
            ("address", "", "field.required"),
            ("address", "1\n2\n3\n4\n5\n6\n7\n8\n9", "bill.error.too_many_lines"),
            ("tax_id", "a\u{0}", "bill.error.invisible"),
            ("email", "nobody", "field.email"),
            ("tax_rate", "101", "bill.error.rate"),
            ("tax_name", "", "field.required"),
            ("prefix", "INV2026", "bill.error.prefix"),
            ("prefix", "no spaces-", "bill.error.prefix"),
            ("prefix", "a-very-very-very-long-one-", "bill.error.prefix"),
            ("first", "0", "bill.error.first"),
            ("first", "", "bill.error.first"),
            ("credit_first", "-1", "bill.error.first"),
            ("credit_first", "1234567890123", "bill.error.first"),
            ("mailing", "", "field.required"),
        ] {
            let mut form: HashMap<&'static str, &str> = typed();
            form.insert(field, value);
            assert_eq!(parse(&form), Err(vec![FieldError::new(field, key)]), "{field} {value}");
        }
    }

    #[test]
    fn a_receipt_needs_no_address_and_no_tax_no_name() {
        let mut form = typed();
        form.extend([("called", "receipt"), ("address", ""), ("tax_rate", ""), ("tax_name", "")]);
        assert_eq!(parse(&form).unwrap().terms.called, Called::Receipt);
    }
}
