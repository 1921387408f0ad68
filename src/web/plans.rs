//! Plans in words, for customers and for the back office.

use super::page::Page;
use crate::kernel::PriceFactor;
use crate::keys::ModelRule;
use crate::plans::{Length, Refused, Stacking, Terms, Unit, UsedUp, Visibility};

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
            "sold" => &[("both", "plan.sold_both"), ("once", "plan.sold_once"), ("subscription", "plan.sold_subscription")],
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

/// The key of the sentence that says why a plan cannot be bought; none when that is nobody's business but ours.
pub fn why_not(refused: &Refused) -> Option<&'static str> {
    Some(match refused {
        Refused::NotForSale => "plan.not_for_sale",
        Refused::NotSoldThisWay => "plan.not_sold_this_way",
        Refused::SoldOut => "plan.sold_out",
        Refused::LimitReached => "plan.limit_reached",
        Refused::AlreadySubscribed => "plan.already_subscribed",
        Refused::Database(_) => return None,
    })
}
