//! The pure part: money, time, ids, secrets, randomness. No I/O, no other room of the house.

pub mod clock;
pub mod currency;
pub mod days;
pub mod factor;
pub mod fields;
pub mod ids;
pub mod money;
pub mod network;
pub mod pricing;
pub mod random;
pub mod secrets;
pub mod usage;

pub use clock::{Clock, NEVER};
pub use currency::{BadAmount, Currency, Money, Rate};
pub use days::{Day, Days};
pub use factor::PriceFactor;
pub use fields::FieldError;
pub use ids::{Id, IdGen};
pub use money::{Price, Usd};
pub use pricing::Prices;
pub use random::Random;
pub use usage::Usage;

/// The injected sources that nearly every action needs.
#[derive(Clone, Debug)]
pub struct Kit {
    /// What time it is.
    pub clock: Clock,
    /// New row ids.
    pub ids: IdGen,
    /// Random bytes.
    pub random: Random,
}
