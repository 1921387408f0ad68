//! Periodic work.
