//! The back office: what is sold, through which channels, to whom.

#[cfg(test)]
mod samples;
pub mod views;
