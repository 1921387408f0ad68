//! The shop window: what everyone sees.

#[cfg(test)]
mod samples;
pub mod views;
