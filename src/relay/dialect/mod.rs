//! The languages that callers and upstreams speak.

pub mod openai_chat;
