//! The relay, from a caller's bytes to the charge, against a simulated upstream.

mod chat;
