//! Who pays for a request: the plans that cover its model, at the prices that each makes, and then the wallet. Pure.

use super::snapshot::Running;
use super::terms::UsedUp;
use crate::kernel::{Id, PriceFactor};

/// A way to pay for a request, all at one price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// By what prices are multiplied.
    pub factor: PriceFactor,
    /// The subscriptions whose credits pay, each with its plan.
    pub scopes: Vec<(Id, Id)>,
    /// The wallet pays as well.
    pub wallet: bool,
}

/// The ways to pay for a request, in the order in which they are tried.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ways {
    /// The ways.
    pub all: Vec<Way>,
    /// The plan that stops when it is used up, by its name, when nothing comes after it.
    pub stops: Option<String>,
}

impl Ways {
    /// The ways to pay for a request at a moment; none when no plan covers the model, and the wallet pays as it always does.
    pub fn of(all: &[Running], model: &str, now_ms: i64) -> Option<Self> {
        let mut covering: Vec<&Running> = all.iter().filter(|running| running.when.contains(now_ms) && running.terms.covers(model)).collect();
        // What makes the request cheapest goes first, and of two alike what ends sooner.
        covering.sort_by_key(|running| (running.terms.factor(), running.when.until, running.subscription));
        let last = covering.last()?;
        let goes_on = covering.iter().any(|running| running.terms.used_up == UsedUp::Wallet);
        let stops = (!goes_on).then(|| last.terms.name.clone());
        let mut ways: Vec<Way> = Vec::new();
        for running in &covering {
            let factor = running.terms.factor();
            match ways.last_mut().filter(|way| way.factor == factor) {
                Some(way) => way.scopes.push((running.subscription, running.plan)),
                None => ways.push(Way { factor, scopes: vec![(running.subscription, running.plan)], wallet: false }),
            }
        }
        match ways.last_mut() {
            // At the ordinary price one hold takes of both.
            Some(way) if goes_on && way.factor == PriceFactor::ONE => way.wallet = true,
            _ if goes_on => ways.push(Way { factor: PriceFactor::ONE, scopes: Vec::new(), wallet: true }),
            _ => {}
        }
        Some(Self { all: ways, stops })
    }
}

#[cfg(test)]
mod tests {
    use super::super::calendar::Stretch;
    use super::super::terms::{Terms, tests::monthly};
    use super::*;
    use crate::keys::ModelRule;
    use std::sync::Arc;

    fn running(id: i64, factor: &str, used_up: UsedUp) -> Running {
        let terms = Terms { factor: PriceFactor::parse(factor).unwrap().millionths(), used_up, name: format!("plan {id}"), ..monthly() };
        Running { subscription: Id(id), plan: Id(id + 100), when: Stretch { from: 10, until: 20 }, terms: Arc::new(terms) }
    }

    fn told(all: &[Running]) -> Vec<(String, Vec<i64>, bool)> {
        let ways = Ways::of(all, "m", 10).unwrap().all;
        ways.into_iter()
            .map(|way| {
                (
                    way.factor.to_string(),
                    way.scopes.into_iter().map(|(subscription, plan)| subscription.0 * i64::from(plan.0 == subscription.0 + 100)).collect(),
                    way.wallet,
                )
            })
            .collect()
    }

    #[test]
    fn a_plan_pays_first_and_the_wallet_where_it_may() {
        assert_eq!(told(&[running(1, "1", UsedUp::Stop)]), [("1".into(), vec![1], false)]);
        assert_eq!(told(&[running(1, "1", UsedUp::Wallet)]), [("1".into(), vec![1], true)]);
        assert_eq!(told(&[running(1, "0.5", UsedUp::Wallet)]), [("0.5".into(), vec![1], false), ("1".into(), vec![], true)]);
        let three = [running(3, "1.5", UsedUp::Stop), running(2, "1", UsedUp::Wallet), running(1, "0.5", UsedUp::Stop)];
        assert_eq!(told(&three), [("0.5".into(), vec![1], false), ("1".into(), vec![2], false), ("1.5".into(), vec![3], false), ("1".into(), vec![], true)]);
        let two = [running(2, "0.5", UsedUp::Stop), running(1, "0.5", UsedUp::Stop)];
        assert_eq!(told(&two), [("0.5".into(), vec![1, 2], false)]);
        assert_eq!(Ways::of(&two, "m", 10).unwrap().stops.as_deref(), Some("plan 2"));
    }

    #[test]
    fn what_does_not_run_or_cover_pays_nothing() {
        let all = [running(1, "1", UsedUp::Stop)];
        assert!(Ways::of(&all, "m", 9).is_none() && Ways::of(&all, "m", 19).is_some() && Ways::of(&all, "m", 20).is_none());
        let mut other = running(1, "1", UsedUp::Stop);
        other.terms = Arc::new(Terms { models: Some(ModelRule::Allow(vec!["gpt*".into()])), ..monthly() });
        assert!(Ways::of(std::slice::from_ref(&other), "m", 10).is_none() && Ways::of(&[other], "gpt-4o", 10).is_some());
    }
}
