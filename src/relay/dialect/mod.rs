//! The languages that callers and upstreams speak.

pub(super) mod chat_text;
pub mod openai_answer;
pub mod openai_chat;
