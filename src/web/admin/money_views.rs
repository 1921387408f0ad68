//! The pages of accounting and reconciliation as templates know them.

use crate::accounting::{Period, Report};
use crate::payments::compare::Comparison;
use crate::web::{Form, Page};
use askama::Template;

/// `/admin/accounting`
#[derive(Template)]
#[template(path = "admin/accounting.html")]
pub struct Accounting {
    /// What every template knows.
    pub page: Page,
    /// Of what.
    pub period: Period,
    /// The figures.
    pub report: Report,
    /// The period after it has begun.
    pub has_next: bool,
    /// Whose days they are.
    pub zone: String,
}

/// `/admin/reconciliation`
#[derive(Template)]
#[template(path = "admin/reconciliation.html")]
pub struct Reconciliation {
    /// What every template knows.
    pub page: Page,
    /// The period.
    pub form: Form,
    /// What was compared; none when that could not be done.
    pub comparison: Option<Comparison>,
    /// Why not, and what can be done.
    pub failed: Option<String>,
    /// Whose days they are.
    pub zone: String,
}

impl Accounting {
    /// Whether it has days or months to list.
    pub fn has_parts(&self) -> bool {
        !self.report.lines.is_empty() && !matches!(self.period, Period::Day(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounting::{Cost, Figures, Line, Standing};
    use crate::i18n::Lang;
    use crate::kernel::{Currency, Id, Money, Usd};
    use crate::payments::compare::{Difference, Reason, Side, Stand, Subject, Totals};
    use crate::web::tests::{check_page, sample_page};

    #[test]
    fn the_books_render_in_both_languages() {
        let figures = Figures { revenue: Usd(1_234_567_891), promotion: Usd(5), cost: Cost { requests: 9, cost: Usd(7), unknown: 2 }, ..Figures::default() };
        let closing = Standing { credit: Usd::dollars(3), plans: Usd(1), cards: Usd(2), receivable: Usd(4) };
        let line = |period: &str| Line { period: period.parse().unwrap(), figures, closing };
        let report = Report { opening: Standing::default(), lines: vec![line("2026-03-01"), line("2026-03-02")], total: line("2026-03") };
        let usd = |minor| Money::new(minor, Currency::USD);
        let stands = [Stand::Done, Stand::Open, Stand::Failed, Stand::Inquiry, Stand::Won, Stand::Lost];
        let reasons = [Reason::MissingHere, Reason::MissingThere, Reason::Amount, Reason::Stand, Reason::NoRate];
        let subjects = [Subject::Payment, Subject::Refund, Subject::Dispute, Subject::Fee];
        let differences = (0..6).map(|n| Difference {
            subject: subjects[n % 4],
            theirs_id: (n % 2 == 0).then(|| "pi_<1>".to_owned()),
            order: (n % 3 == 0).then_some(Id(9 << 40)),
            theirs: (n != 1).then_some(Side { amount: usd(100), stand: stands[n], at: 1 }),
            ours: (n != 0).then_some(Side { amount: usd(200), stand: Stand::Done, at: 2 }),
            reason: reasons[n % 5],
        });
        let totals = subjects.map(|subject| Totals { subject, theirs: (2, usd(100)), ours: (if subject == Subject::Fee { 2 } else { 1 }, usd(100)) });
        let comparison = Comparison { totals: totals.into(), differences: differences.collect(), is_cut: true };
        for lang in Lang::ALL {
            let page = |path: &str| sample_page(lang, path);
            let full =
                Accounting { page: page("/admin/accounting"), period: "2026-03".parse().unwrap(), report: report.clone(), has_next: true, zone: "UTC".into() };
            let html = full.render().unwrap();
            check_page(&html);
            for text in ["$1.234567891", "period=2026-03-02", "period=2026-02", "period=2026-04", "period=2026\"", "$3.000000003"] {
                assert!(html.contains(text), "{text} in {html}");
            }
            let day = Report { lines: vec![line("2026-03-01")], total: line("2026-03-01"), ..report.clone() };
            let html = Accounting { period: "2026-03-01".parse().unwrap(), report: day, has_next: false, ..full }.render().unwrap();
            check_page(&html);
            assert!(!html.contains("id=\"parts\"") && !html.contains("period=2026-03-02"));
            let nothing = Report {
                opening: Standing::default(),
                lines: vec![],
                total: Line { figures: Figures::default(), closing: Standing::default(), ..line("2026") },
            };
            let empty = Accounting { page: page("/admin/accounting"), period: "2026".parse().unwrap(), report: nothing, has_next: false, zone: "UTC".into() };
            check_page(&empty.render().unwrap());
            let form = Form::empty(lang).fill("from", "2026-03-01").fill("until", "2026-03-31");
            let full = Reconciliation { page: page("/admin/reconciliation"), form, comparison: Some(comparison.clone()), failed: None, zone: "UTC".into() };
            let html = full.render().unwrap();
            check_page(&html);
            assert!(html.contains("pi_&#60;1&#62;") && html.contains("/admin/orders/") && html.contains("name=\"from\""), "{html}");
            let none = Reconciliation { comparison: Some(Comparison::default()), ..full };
            check_page(&none.render().unwrap());
            check_page(&Reconciliation { comparison: None, failed: Some("Try <again>".into()), ..none }.render().unwrap());
        }
    }
}
