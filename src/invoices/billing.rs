//! What a customer wants to read on their documents.

use super::terms::{MAX_ADDRESS, MAX_NAME, MAX_TAX_ID};
use super::text;
use crate::kernel::FieldError;
use crate::kernel::fields::Mistakes;

/// A customer's name, address and number of the tax office; each may be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Billing {
    /// A name or a company.
    pub name: String,
    /// Lines of an address.
    pub address: String,
    /// What the tax office calls them.
    pub tax_id: String,
}

impl Billing {
    /// From a form.
    ///
    /// # Errors
    /// Every mistake, by field.
    pub fn parse<'a>(value: impl Fn(&'static str) -> &'a str) -> Result<Self, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let name = mistakes.take("name", text::line(value("name"), MAX_NAME));
        let address = mistakes.take("address", text::lines(value("address"), MAX_ADDRESS.0, MAX_ADDRESS.1));
        let tax_id = mistakes.take("tax_id", text::line(value("tax_id"), MAX_TAX_ID));
        mistakes.check()?;
        Ok(Self { name: name.unwrap_or_default(), address: address.unwrap_or_default(), tax_id: tax_id.unwrap_or_default() })
    }

    /// What a form shows.
    pub fn fields(&self) -> [(&'static str, String); 3] {
        [("name", self.name.clone()), ("address", self.address.clone()), ("tax_id", self.tax_id.clone())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_read_and_hostile_ones_refused() {
        let typed = |name| match name {
            "name" => " Ann ",
            "address" => "1 Road\r\nTown",
            _ => "",
        };
        let billing = Billing::parse(typed).unwrap();
        assert_eq!(billing, Billing { name: "Ann".into(), address: "1 Road\nTown".into(), tax_id: String::new() });
        let shown = billing.fields();
        assert_eq!(Billing::parse(|name| shown.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)), Ok(billing));
        assert_eq!(Billing::parse(|_| ""), Ok(Billing::default()), "nobody has to tell anything");
        let long = "x".repeat(1_000);
        let wrong = Billing::parse(|name| if name == "name" { long.as_str() } else { "a\u{202E}b" }).unwrap_err();
        assert_eq!(wrong.iter().map(|mistake| mistake.key).collect::<Vec<_>>(), ["bill.error.too_long", "bill.error.invisible", "bill.error.invisible"]);
    }
}
