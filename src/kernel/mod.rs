//! The pure part: money, time, ids, secrets, randomness. No I/O, no other room of the house.

pub mod clock;
pub mod ids;
pub mod money;
pub mod random;
pub mod secrets;

pub use clock::{Clock, NEVER};
pub use ids::{Id, IdGen};
pub use money::{Price, Usd};
pub use random::Random;
