//! A model and what its tokens cost, now and from announced moments on.

use super::caching::Caching;
use crate::kernel::{Id, Prices};

/// A step in a model's prices: from this moment on these, or none at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its row.
    pub id: Id,
    /// From when on.
    pub effective_at: i64,
    /// The prices; none takes the price away.
    pub prices: Option<Prices>,
}

/// A model that the shop offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// Its row.
    pub id: Id,
    /// The name that callers send.
    pub name: String,
    /// Switched on by the admin.
    pub enabled: bool,
    /// The most output tokens that one answer can have, when known.
    pub max_output_tokens: Option<u64>,
    /// The most tokens of input and output together, when known.
    pub context_length: Option<u64>,
    /// How answers are kept for identical requests; none when they are not.
    pub caching: Option<Caching>,
    /// The step in force when the model was read, and those to come, oldest first.
    pub(super) steps: Vec<Step>,
}

impl Model {
    /// The prices in force at a moment not before the model was read. None: not callable.
    pub fn prices_at(&self, now_ms: i64) -> Option<Prices> {
        self.price_at(now_ms).map(|(_, prices)| prices.clone())
    }

    /// The same, with the row that explains a charge later.
    pub fn price_at(&self, now_ms: i64) -> Option<(Id, &Prices)> {
        let step = self.steps.iter().rev().find(|step| step.effective_at <= now_ms)?;
        step.prices.as_ref().map(|prices| (step.id, prices))
    }

    /// Whether requests for it can be served: switched on and priced.
    pub fn is_callable(&self, now_ms: i64) -> bool {
        self.enabled && self.price_at(now_ms).is_some()
    }

    /// The price changes that are still to come, soonest first.
    pub fn upcoming(&self, now_ms: i64) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.effective_at > now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Price;

    #[test]
    fn the_latest_step_that_has_come_is_in_force() {
        let prices = |n| Some(Prices { input: Price(n), output: Price(n), cached_input: Price(n), cache_write: Price(n), ..Prices::default() });
        let step = |effective_at, prices| Step { id: Id(effective_at), effective_at, prices };
        let steps = vec![step(10, prices(1)), step(20, prices(2)), Step { id: Id(21), ..step(20, prices(3)) }, step(30, None)];
        let model = Model { id: Id(1), name: "m".into(), enabled: true, max_output_tokens: None, context_length: None, caching: None, steps };
        assert_eq!(model.prices_at(9), None);
        assert_eq!(model.prices_at(10), prices(1));
        assert_eq!(model.prices_at(20), prices(3), "of two at the same moment the later one");
        assert_eq!(model.price_at(25).map(|(id, _)| id), Some(Id(21)));
        assert_eq!(model.prices_at(30), None, "a price can be taken away");
        assert!(model.is_callable(29) && !model.is_callable(30));
        assert!(!Model { enabled: false, ..model.clone() }.is_callable(29));
        assert_eq!(model.upcoming(19).count(), 3);
    }
}
