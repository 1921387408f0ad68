//! The demo: a whole shop with nothing but this binary. [`upstream`] plays the AI provider that the shop resells, on a port of its
//! own and in real HTTP, so that nothing in the shop can tell it from a paid one; the tests drive it for the same reason.

pub mod upstream;
