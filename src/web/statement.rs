//! How movements of money read: what each is for, in words and as a link to what it belongs to.

use super::Page;
use crate::kernel::{Id, Usd};
use crate::ledger::statement::Sort;
use std::borrow::Borrow;

/// What a transfer is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// In words.
    pub words: String,
    /// Where it leads, for its customer.
    pub link: Option<String>,
}

impl Page {
    /// What a transfer's reference means.
    pub fn reference(&self, text: &str) -> Reference {
        let to = |words: String, link: String| Reference { words, link: Some(link) };
        if let Ok(request) = text.parse::<Id>() {
            return to(self.with("statement.of_request", "id", request), format!("/account/requests?only={request}"));
        }
        let (kind, rest) = text.split_once(':').unwrap_or(("", text));
        match (kind, rest.parse::<Id>()) {
            ("order", Ok(order)) => to(self.with("statement.of_order", "id", order), format!("/account/orders/{order}")),
            ("plan", _) => to(self.with("statement.of_plan", "name", rest), "/account/plan".to_owned()),
            ("gift_card", _) => to(self.with("statement.of_card", "tail", rest), "/account/gift-cards".to_owned()),
            ("referral", _) => to(self.t("statement.of_referral").into_owned(), "/account/referrals".to_owned()),
            _ => Reference { words: text.to_owned(), link: None },
        }
    }

    /// A change of a balance, with its sign.
    pub fn change(&self, amount: impl Borrow<Usd>) -> String {
        let amount = amount.borrow();
        if amount.0 > 0 { format!("+{}", amount.display()) } else { amount.display() }
    }

    /// The sorts of movements, for a filter.
    pub fn sorts(&self) -> Vec<(&'static str, String)> {
        let key = |sort| match sort {
            Sort::Grant => "statement.sort_grant",
            Sort::Charge => "statement.sort_charge",
            Sort::Purchase => "statement.sort_purchase",
            Sort::Refund => "statement.sort_refund",
            Sort::Debt => "statement.sort_debt",
            Sort::Expiry => "statement.sort_expiry",
            Sort::Adjustment => "statement.sort_adjustment",
        };
        let all = std::iter::once(("", self.t("statement.sort_all").into_owned()));
        all.chain(Sort::ALL.into_iter().map(|sort| (sort.word(), self.t(key(sort)).into_owned()))).collect()
    }

    /// How a statement can be shown, for a choice.
    pub fn statement_views(&self) -> Vec<(&'static str, String)> {
        [("", "statement.by_day"), ("all", "statement.by_movement")].map(|(word, key)| (word, self.t(key).into_owned())).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::i18n::Lang;
    use crate::web::tests::sample_page;

    #[test]
    fn references_read_as_words_and_lead_where_they_belong() {
        let page = sample_page(Lang::En, "/account/wallet");
        let id = Id(7 << 40);
        let link = |text: &str| page.reference(text).link;
        assert_eq!(link(&format!("order:{id}")), Some(format!("/account/orders/{id}")));
        assert_eq!(link(&id.to_string()), Some(format!("/account/requests?only={id}")));
        assert_eq!(page.reference("gift_card:WXYZ").words, "Gift card …WXYZ");
        assert_eq!(page.reference("plan:Pro: yearly").words, "Plan Pro: yearly");
        for text in ["Goodwill", "order:javascript", "order:", "", "note: see mail", "mail:x"] {
            assert_eq!(page.reference(text), Reference { words: text.to_owned(), link: None });
        }
        assert_eq!((page.change(Usd(0)), page.change(Usd::dollars(1)), page.change(Usd::dollars(-1))), ("$0.00".into(), "+$1.00".into(), "-$1.00".into()));
    }
}
