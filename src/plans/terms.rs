//! What a plan promises: the part of its definition that whoever has bought it keeps, whatever becomes of the plan later.

use super::calendar::{Course, Length, Unit};
use crate::kernel::factor::PriceFactor;
use crate::kernel::{Currency, Money, Usd};
use crate::keys::ModelRule;
use crate::limits::Rules;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::num::NonZeroU64;

/// What happens to a request when the allowance is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UsedUp {
    /// It is refused until there is a new allowance.
    Stop,
    /// The wallet pays for it, at the ordinary price.
    Wallet,
}

/// What buying a plan does that the customer has already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stacking {
    /// It lasts longer.
    Extend,
    /// A second one runs beside the first.
    Stack,
}

/// How it can be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sold {
    /// For one term.
    Once,
    /// By a subscription that the payment provider renews.
    Subscription,
    /// As the customer likes.
    Both,
}

impl Sold {
    /// Whether it can be bought for one term.
    pub fn once(self) -> bool {
        self != Sold::Subscription
    }

    /// Whether it can be subscribed to.
    pub fn by_subscription(self) -> bool {
        self != Sold::Once
    }
}

/// What a plan sets for its customers; none for what it says nothing of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanLimits {
    /// Requests per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpm: Option<NonZeroU64>,
    /// Tokens per minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<NonZeroU64>,
    /// Requests at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<NonZeroU64>,
    /// How many keys the customer may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<NonZeroU64>,
}

impl PlanLimits {
    /// Of each the higher one: what holds for somebody with two plans.
    #[must_use]
    pub fn best(self, other: Self) -> Self {
        // A limit is more than nothing said.
        Self {
            rpm: self.rpm.max(other.rpm),
            tpm: self.tpm.max(other.tpm),
            concurrency: self.concurrency.max(other.concurrency),
            keys: self.keys.max(other.keys),
        }
    }

    /// Those that count requests.
    pub fn rules(&self) -> Rules {
        Rules { rpm: self.rpm, tpm: self.tpm, rpd: None, concurrency: self.concurrency }
    }
}

/// The terms of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// What it is called.
    pub name: String,
    /// What it is, in the shop's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// What a term costs, in minor units of its currency.
    pub price: i64,
    /// The currency.
    pub currency: Currency,
    /// What each period grants, in nano-dollars.
    pub allowance: i64,
    /// How long a term is.
    pub length: Length,
    /// How often the allowance is given anew within a term; none for once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<Unit>,
    /// What is left of a period's allowance stays until the subscription ends.
    pub carry_over: bool,
    /// The models it covers; none for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<ModelRule>,
    /// What it sets for the customer.
    #[serde(default)]
    pub limits: PlanLimits,
    /// By what prices are multiplied that its allowance pays, in millionths.
    pub factor: i64,
    /// When the allowance is used up.
    pub used_up: UsedUp,
    /// Days that a new subscription costs nothing.
    pub trial_days: i64,
    /// What buying it again does.
    pub stacking: Stacking,
    /// How it can be bought.
    pub sold: Sold,
}

impl Terms {
    /// What a term costs.
    pub fn price(&self) -> Money {
        Money::new(self.price, self.currency)
    }

    /// What each period grants.
    pub fn allowance(&self) -> Usd {
        Usd(self.allowance)
    }

    /// By what prices are multiplied that its allowance pays.
    pub fn factor(&self) -> PriceFactor {
        PriceFactor::from_millionths(self.factor)
    }

    /// Whether its allowance pays for a model.
    pub fn covers(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|rule| rule.lets(model))
    }

    /// Terms of this length from an anchor.
    pub fn course(&self, anchor_ms: i64, zone: TimeZone) -> Course {
        Course { anchor_ms, zone, length: self.length }
    }

    /// As the database keeps them.
    pub fn write(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// From the database.
    ///
    /// # Errors
    /// When somebody edited them by hand and made a mistake.
    pub fn read(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// What a period gets of what was paid for a term: whole nano-dollars that sum to all of it.
pub fn share(paid: Usd, period: i64, periods: i64) -> Usd {
    let periods = i128::from(periods.max(1));
    let until = |n: i64| i128::from(paid.0) * i128::from(n).clamp(0, periods) / periods;
    Usd(i64::try_from(until(period.saturating_add(1)) - until(period)).unwrap_or(0))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A month for 10 dollars that grants 12.
    pub(crate) fn monthly() -> Terms {
        Terms {
            name: "Starter".into(),
            description: String::new(),
            price: 1_000,
            currency: Currency::USD,
            allowance: Usd::dollars(12).0,
            length: Length { count: 1, unit: Unit::Month },
            reset: None,
            carry_over: false,
            models: None,
            limits: PlanLimits::default(),
            factor: PriceFactor::ONE.millionths(),
            used_up: UsedUp::Stop,
            trial_days: 0,
            stacking: Stacking::Extend,
            sold: Sold::Both,
        }
    }

    #[test]
    fn terms_are_kept_as_they_were() {
        let terms = Terms {
            models: Some(ModelRule::Allow(vec!["demo-*".into()])),
            limits: PlanLimits { rpm: NonZeroU64::new(60), ..PlanLimits::default() },
            reset: Some(Unit::Week),
            factor: 500_000,
            ..monthly()
        };
        assert_eq!(Terms::read(&terms.write()).unwrap(), terms);
        assert!(terms.covers("demo-chat") && !terms.covers("gpt-4o") && monthly().covers("anything"));
        assert_eq!((terms.factor().to_string().as_str(), terms.price().display().as_str(), terms.limits.rules().rpm), ("0.5", "$10.00", NonZeroU64::new(60)));
        assert!(Terms::read("{}").is_err());
    }

    #[test]
    fn of_two_plans_the_better_limit_holds() {
        let limits = |rpm, tpm| PlanLimits { rpm: NonZeroU64::new(rpm), tpm: NonZeroU64::new(tpm), ..PlanLimits::default() };
        assert_eq!(limits(5, 0).best(limits(9, 100)), limits(9, 100));
        assert_eq!(limits(5, 0).best(PlanLimits::default()), limits(5, 0));
    }

    proptest! {
        #[test]
        fn shares_sum_to_what_was_paid(paid in 0..i64::MAX, periods in 1_i64..400) {
            let shares: Vec<i64> = (0..periods).map(|n| share(Usd(paid), n, periods).0).collect();
            prop_assert_eq!(shares.iter().map(|share| i128::from(*share)).sum::<i128>(), i128::from(paid));
            prop_assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1);
        }
    }
}
