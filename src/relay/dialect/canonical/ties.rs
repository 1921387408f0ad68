//! Ties the results of tools to their calls.

use super::{Message, Part};
use std::collections::HashMap;

/// Gives each tool result the name and kind of the call that it answers, as far as the conversation tells.
pub fn tie_results(messages: &mut [Message]) {
    let mut calls: HashMap<String, (String, bool)> = HashMap::new();
    for part in messages.iter_mut().flat_map(|message| &mut message.parts) {
        match part {
            Part::ToolCall(call) => drop(calls.insert(call.id.clone(), (call.name.clone(), call.custom))),
            Part::ToolResult(result) => {
                if let Some((name, custom)) = calls.get(&result.call_id) {
                    result.name = Some(name.clone());
                    result.custom = *custom;
                }
            }
            _ => {}
        }
    }
}
