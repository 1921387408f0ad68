//! Names of tools for dialects that allow shorter ones: Anthropic takes 128 letters, OpenAI 64, and tools behind MCP servers use them up.

use super::Request;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use std::borrow::Cow;

/// The longest name that every dialect takes.
const LONGEST: usize = 64;
/// The letters of the hash that tells apart what was cut.
const MARK: usize = 8;

/// The name itself when it is short enough; otherwise its beginning and a piece of its hash. [`Request::own_name`] turns it back.
pub fn fit(name: &str) -> Cow<'_, str> {
    if name.len() <= LONGEST {
        return Cow::Borrowed(name);
    }
    let kept = name.floor_char_boundary(LONGEST - MARK - 1);
    let mark = HEXLOWER.encode(&Sha256::digest(name.as_bytes())[..MARK / 2]);
    Cow::Owned(format!("{}_{mark}", &name[..kept]))
}

impl Request {
    /// The caller's name for a tool that the model called, perhaps by a name that was cut.
    pub fn own_name<'a>(&'a self, called: &'a str) -> &'a str {
        if called.len() < LONGEST - MARK || self.tool(called).is_some() {
            return called;
        }
        self.tools.iter().find(|tool| fit(&tool.name) == called).map_or(called, |tool| tool.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::dialect::canonical::{Tool, ToolKind};

    #[test]
    fn a_long_name_is_cut_and_found_again() {
        let tool = |name: String| Tool { name, description: None, kind: ToolKind::Function { parameters: None, strict: None }, cache: None };
        let names = [format!("mcp__{}", "a".repeat(80)), format!("mcp__{}b", "a".repeat(80)), format!("x{}", "ä".repeat(50)), "short".to_owned()];
        let request = Request { tools: names.iter().cloned().map(tool).collect(), ..Request::default() };
        for name in &names {
            let cut = fit(name).into_owned();
            assert!(cut.len() <= LONGEST && (name.len() > LONGEST || cut == *name), "{cut}");
            assert_eq!(request.own_name(&cut), name);
        }
        let unknown = "u".repeat(64);
        assert_eq!(request.own_name(&unknown), unknown);
    }
}
