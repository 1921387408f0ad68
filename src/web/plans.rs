//! Plans in words, for customers and for the back office.

use super::page::Page;
use crate::kernel::PriceFactor;
use crate::keys::ModelRule;
use crate::plans::{Length, Stacking, Terms, Unit, UsedUp, Visibility};

impl Page {
    /// How long a term is.
    pub fn plan_length(&self, length: &Length) -> String {
        let (one, many) = match length.unit {
            Unit::Day => ("plan.one_day", "plan.days"),
            Unit::Week => ("plan.one_week", "plan.weeks"),
            Unit::Month => ("plan.one_month", "plan.months"),
        };
        if length.count == 1 { self.t(one).into_owned() } else { self.with(many, "n", length.count) }
    }

    /// What a plan costs, and for how long.
    pub fn plan_price(&self, terms: &Terms) -> String {
        self.with2("plan.price_for", "price", terms.price().display(), "length", self.plan_length(&terms.length))
    }

    /// Who sees a plan, and the tone in which it is said.
    pub fn plan_visibility(&self, visibility: &Visibility) -> (&'static str, String) {
        let (tone, key) = match visibility {
            Visibility::Public => ("good", "plan.public"),
            Visibility::Link => ("warn", "plan.link"),
            Visibility::Off => ("", "plan.off"),
        };
        (tone, self.t(key).into_owned())
    }

    /// What a plan promises, line by line: what each is called, and how it is.
    pub fn plan_facts(&self, terms: &Terms) -> Vec<(String, String)> {
        let mut facts = Vec::new();
        let mut add = |label: &str, value: String| facts.push((self.t(label).into_owned(), value));
        let each = match terms.reset {
            None => "plan.grants_once",
            Some(Unit::Day) => "plan.grants_daily",
            Some(Unit::Week) => "plan.grants_weekly",
            Some(Unit::Month) => "plan.grants_monthly",
        };
        add("plan.allowance", self.with(each, "amount", terms.allowance().display()));
        if terms.carry_over {
            add("plan.unused", self.t("plan.carries_over").into_owned());
        }
        let used_up = if terms.used_up == UsedUp::Stop { "plan.stops" } else { "plan.goes_on" };
        add("plan.when_used_up", self.t(used_up).into_owned());
        let models = match &terms.models {
            None => self.t("plan.all_models").into_owned(),
            Some(ModelRule::Allow(names)) => names.join(", "),
            Some(ModelRule::Deny(names)) => self.with("plan.all_models_but", "names", names.join(", ")),
        };
        add("plan.models", models);
        if terms.factor() != PriceFactor::ONE {
            add("plan.factor", self.with("plan.factor_times", "factor", terms.factor()));
        }
        let limits = [
            ("limit.rpm", terms.limits.rpm),
            ("limit.tpm", terms.limits.tpm),
            ("limit.concurrency", terms.limits.concurrency),
            ("plan.keys", terms.limits.keys),
        ];
        for (label, limit) in limits {
            if let Some(limit) = limit {
                add(label, super::format::count(i64::try_from(limit.get()).unwrap_or(i64::MAX)));
            }
        }
        if terms.trial_days > 0 {
            add("plan.trial", self.plan_length(&Length { count: terms.trial_days, unit: Unit::Day }));
        }
        let again = if terms.stacking == Stacking::Extend { "plan.extends" } else { "plan.stacks" };
        add("plan.bought_again", self.t(again).into_owned());
        facts
    }

    /// The choices of a field of the plan form.
    pub fn plan_choices(&self, field: &str) -> Vec<(&'static str, String)> {
        let choices: &[(&'static str, &str)] = match field {
            "sold" => &[("once", "plan.sold_once"), ("subscription", "plan.sold_subscription"), ("both", "plan.sold_both")],
            "length_unit" => &[("day", "plan.unit_days"), ("week", "plan.unit_weeks"), ("month", "plan.unit_months")],
            "reset" => &[("none", "plan.reset_none"), ("day", "plan.reset_day"), ("week", "plan.reset_week"), ("month", "plan.reset_month")],
            "used_up" => &[("stop", "plan.stops"), ("wallet", "plan.goes_on")],
            "stacking" => &[("extend", "plan.extends"), ("stack", "plan.stacks")],
            _ => &[("public", "plan.public"), ("link", "plan.link"), ("off", "plan.off")],
        };
        choices.iter().map(|(value, key)| (*value, self.t(key).into_owned())).collect()
    }

    /// Every way to see plans, for a filter.
    pub fn plan_filters(&self) -> Vec<(&'static str, String)> {
        std::iter::once(("", self.t("plan.any").into_owned())).chain(self.plan_choices("visibility")).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use crate::i18n::Lang;
    use crate::kernel::{Currency, Id, Money, Usd};
    use crate::payments::{ChangeNow, ChangeOffer, UnpaidBill};
    use crate::plans::{Edition, Plan, PlanDraft, State, SubscriptionView, TermView};
    use crate::web::Form;
    use crate::web::account::views::{ChangePlan, ChoosePlan, MyPlan, MyPlans, PayPlan, PlanOffer, PlanPage};
    use crate::web::admin::views::{EditPlan, Plans};
    use crate::web::tests::{check_page, sample_page};
    use askama::Template;
    use std::sync::Arc;

    fn plan(id: i64, fields: &[(&'static str, &'static str)]) -> Plan {
        let usual = [
            ("name", "Pro <1>"),
            ("description", "For teams\nand people"),
            ("badge", "Best & more"),
            ("price", "1234.50"),
            ("sold", "both"),
            ("trial_days", "7"),
            ("length", "3"),
            ("length_unit", "month"),
            ("allowance", "25.5"),
            ("reset", "month"),
            ("carry_over", "on"),
            ("used_up", "wallet"),
            ("stacking", "stack"),
            ("factor", "0.85"),
            ("model_rule", "deny"),
            ("models", "gpt-4*"),
            ("rpm", "6000"),
            ("keys", "10"),
            ("visibility", "link"),
            ("stock", "100"),
        ];
        let value = |name: &str| fields.iter().chain(&usual).find(|(known, _)| *known == name).map_or("", |(_, value)| *value);
        let PlanDraft { terms, offer } = PlanDraft::parse(value).unwrap();
        Plan { id: Id(id), version: Id(id + 1), terms, offer, taken: 99, running: 1_234, created_at: 0 }
    }

    /// A subscription as its page shows it.
    pub fn mine(id: i64, state: State, renewing: bool, next: Option<Plan>) -> MyPlan {
        let terms = Arc::new(plan(1, &[]).terms);
        let term = |trial, from| TermView { starts_at: from, ends_at: from + 1_000, paid: Usd::dollars(5), trial, terms: Arc::clone(&terms) };
        let view = SubscriptionView {
            id: Id(id),
            plan: Id(1),
            state,
            renewing,
            starts_at: 0,
            paid_until: 2_000,
            cancelled_at: None,
            ended_at: (state == State::Ended).then_some(2_000),
            next: next.map(|plan| (plan.id, plan.terms)),
            terms: vec![term(true, 0), term(false, 1_000)],
            periods: Vec::new(),
        };
        MyPlan {
            left: Usd(312_000),
            resets_at: renewing.then_some(1_500),
            goes_on: renewing,
            waits: state == State::Active && id == 3,
            bill: (state == State::PastDue).then(unpaid),
            view,
            now: 1_200,
        }
    }

    fn unpaid() -> UnpaidBill {
        let amount = Money::new(1_000, Currency::USD);
        UnpaidBill { bill: "in_1".into(), amount, attempts: 2, next_attempt_at: Some(5_000), page: Some("https://pay.example/i?a=1&b=2".into()) }
    }

    #[test]
    fn a_change_and_a_payment_are_asked_for_in_both_languages() {
        let edition = |plan: &Plan| Edition { plan: plan.id, version: plan.version, terms: plan.terms.clone() };
        let (small, large) = (plan(1, &[("price", "10")]), plan(3, &[]));
        let money = |minor| Money::new(minor, Currency::USD);
        for lang in Lang::ALL {
            let page = || sample_page(lang, "/account/plan");
            for (unused, at_renewal) in [(Some(money(333)), Some(5_000)), (None, None)] {
                let now = ChangeNow { unused, due: money(999) };
                let offer = ChangeOffer { from: edition(&small), to: edition(&large), now: Some(now), at_renewal };
                let html = ChangePlan { page: page(), subscription: Id(9), offer: offer.clone() }.render().unwrap();
                check_page(&html);
                assert_eq!(
                    (html.contains("$3.33"), html.matches("name=\"when\"").count()),
                    (unused.is_some(), 1 + usize::from(at_renewal.is_some())),
                    "{html}"
                );
                check_page(&ChangePlan { page: page(), subscription: Id(9), offer: ChangeOffer { now: None, at_renewal: None, ..offer } }.render().unwrap());
            }
            let MyPlan { view, .. } = mine(2, State::PastDue, true, None);
            let html = PayPlan { page: page(), view: view.clone(), bill: unpaid() }.render().unwrap();
            check_page(&html);
            assert!(html.contains("/account/plan/0000000000002/bill\""), "{html}");
            let bill = UnpaidBill { next_attempt_at: None, page: Some("javascript:alert(1)".into()), ..unpaid() };
            let html = PayPlan { page: page(), view, bill }.render().unwrap();
            check_page(&html);
            assert!(!html.contains("/bill\""), "{html}");
        }
    }

    #[test]
    fn every_page_renders_in_both_languages() {
        for lang in Lang::ALL {
            let page = |here: &str| sample_page(lang, here);
            let all = vec![
                plan(1, &[]),
                plan(3, &[("visibility", "public"), ("stock", "99"), ("badge", ""), ("length", "1"), ("reset", "none")]),
                plan(5, &[("visibility", "off"), ("stock", "")]),
            ];
            let list = Plans { page: page("/admin/plans"), plans: all.clone(), form: Form::empty(lang), further: Some("/admin/plans?sort=1".into()) };
            let html = list.render().unwrap();
            check_page(&html);
            assert!(html.contains("Pro &#60;1&#62;") && html.contains("$1,234.50") && html.contains("Best &#38; more"), "{html}");
            check_page(&Plans { plans: vec![], further: None, ..list }.render().unwrap());
            let mut form = PlanDraft::fields(&all[0].terms, &all[0].offer).into_iter().fold(Form::empty(lang), |form, (name, value)| form.fill(name, value));
            let html = EditPlan { page: page("/admin/plans/1"), plan: Some(all[0].clone()), form: form.clone() }.render().unwrap();
            check_page(&html);
            assert!(html.contains("/account/plans/0000000000001") && html.matches("<details class=\"fold\" open>").count() == 2, "{html}");
            form.refuse("keys", "plans.error.keys");
            check_page(&EditPlan { page: page("/admin/plans/1"), plan: Some(all[2].clone()), form }.render().unwrap());
            check_page(&EditPlan { page: page("/admin/plans/new"), plan: None, form: Form::empty(lang) }.render().unwrap());
            let offer = |plan: &Plan, change: Option<Id>, covered| PlanOffer {
                plan: plan.clone(),
                change,
                has_it: change.is_some(),
                trial_days: if covered { 0 } else { 7 },
                credit: Some(Usd::dollars(1)),
                covered,
            };
            let offers = vec![offer(&all[0], None, true), offer(&all[1], None, false), offer(&all[2], Some(Id(9)), true)];
            for takes_cards in [true, false] {
                let html = ChoosePlan { page: page("/account/plans"), offers: offers.clone(), further: None, takes_cards }.render().unwrap();
                check_page(&html);
                assert_eq!(html.matches("value=\"card\"").count(), usize::from(takes_cards), "{html}");
                assert_eq!(
                    (html.matches("value=\"balance\"").count(), html.matches("/account/plan/0000000000009/change").count()),
                    (1, 1),
                    "one is sold out, one is changed to"
                );
            }
            check_page(
                &ChoosePlan { page: page("/account/plans"), offers: vec![], further: Some("/account/plans?sort=1".into()), takes_cards: true }
                    .render()
                    .unwrap(),
            );
            let only = plan(7, &[("sold", "subscription"), ("price", "5"), ("currency", "EUR"), ("models", "")]);
            check_page(&PlanPage { page: page("/account/plans/7"), offer: offer(&only, None, false), takes_cards: false }.render().unwrap());
            let live = vec![
                mine(1, State::Active, true, Some(plan(8, &[]))),
                mine(2, State::PastDue, true, None),
                mine(3, State::Active, true, None),
                mine(4, State::Active, false, None),
            ];
            let html = MyPlans { page: page("/account/plan"), live, past: vec![mine(5, State::Ended, false, None)], older: Some(Id(5)) }.render().unwrap();
            check_page(&html);
            assert_eq!((html.matches("/cancel\"").count(), html.matches("/end\"").count()), (3, 4), "{html}");
            check_page(&MyPlans { page: page("/account/plan"), live: vec![], past: vec![], older: None }.render().unwrap());
        }
    }
}
