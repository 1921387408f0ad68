//! Writing the conversation of a Chat request.

use super::thoughts;
use crate::relay::dialect::canonical::{
    File, Image, Instruction, Message, Part, Request, Role, Source, Text, Thought, ToolCall, ToolResult, Unfit, call_id, tool_name,
};
use crate::relay::dialect::{Dialect, Target, data_url};
use serde_json::{Map, Value, json};

/// The longest id of a call that OpenAI takes.
const MAX_CALL_ID: usize = 40;

/// Writes `messages`.
pub(super) fn render(request: &Request, target: &Target<'_>) -> Result<Vec<Value>, Unfit> {
    let turns = Turns { target };
    let mut out = turns.instructions(&request.instructions);
    let mut at = 0;
    while at < request.messages.len() {
        let message = &request.messages[at];
        match message.role {
            Role::Assistant => out.push(turns.assistant(at, message)?),
            Role::System { developer } => out.push(turns.turn(turns.system(developer), at, &message.parts.iter().enumerate().collect::<Vec<_>>())?),
            Role::User => {
                let run = request.messages[at..].iter().take_while(|message| message.role == Role::User).count();
                turns.user(at, &request.messages[at..at + run], &mut out)?;
                at += run - 1;
            }
        }
        at += 1;
    }
    Ok(out)
}

struct Turns<'a> {
    target: &'a Target<'a>,
}

impl Turns<'_> {
    fn system(&self, developer: bool) -> &'static str {
        if developer && self.target.is_openai { "developer" } else { "system" }
    }

    /// OpenAI takes any number of prompts; the templates of many compatible servers one.
    fn instructions(&self, instructions: &[Instruction]) -> Vec<Value> {
        if self.target.is_openai {
            let message = |one: &Instruction| json!({"role": self.system(one.developer), "content": one.text.text});
            return instructions.iter().map(message).collect();
        }
        let texts: Vec<&str> = instructions.iter().map(|one| one.text.text.as_str()).collect();
        if texts.is_empty() { Vec::new() } else { vec![json!({"role": "system", "content": texts.join("\n\n")})] }
    }

    /// Neighbouring turns of the user. Results of tools come first, because they must follow the calls at once, and what a result cannot hold comes right after them.
    fn user(&self, first: usize, run: &[Message], out: &mut Vec<Value>) -> Result<(), Unfit> {
        let mut attached = Vec::new();
        for (at, message) in run.iter().enumerate() {
            for (number, part) in message.parts.iter().enumerate() {
                if let Part::ToolResult(result) = part {
                    out.push(self.tool_result(result, &format!("messages[{}].content[{number}]", first + at), &mut attached)?);
                }
            }
        }
        if !attached.is_empty() {
            out.push(json!({"role": "user", "content": attached}));
        }
        for (at, message) in run.iter().enumerate() {
            let rest: Vec<_> = message.parts.iter().enumerate().filter(|(_, part)| !matches!(part, Part::ToolResult(_))).collect();
            if !rest.is_empty() || message.parts.is_empty() {
                out.push(self.turn("user", first + at, &rest)?);
            }
        }
        Ok(())
    }

    fn tool_result(&self, result: &ToolResult, path: &str, attached: &mut Vec<Value>) -> Result<Value, Unfit> {
        let id = self.call_id(&result.call_id);
        let (texts, others): (Vec<_>, Vec<_>) = result.parts.iter().enumerate().partition(|(_, part)| matches!(part, Part::Text(_)));
        let mut texts: Vec<String> =
            texts.into_iter().filter_map(|(_, part)| if let Part::Text(text) = part { Some(text.text.clone()) } else { None }).collect();
        let is_marked = texts.first().is_some_and(|text| text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("error")));
        if result.is_error && !is_marked {
            match texts.first_mut() {
                Some(text) => text.insert_str(0, "Error: "),
                None => texts.push("Error".to_owned()),
            }
        }
        if !others.is_empty() {
            texts.push("(What else it returned is in the next message.)".to_owned());
            attached.push(json!({"type": "text", "text": format!("What the tool call {id} returned:")}));
            for (at, part) in others {
                attached.push(self.part(part, &format!("{path}.content[{at}]"))?);
            }
        }
        Ok(json!({"role": "tool", "tool_call_id": id, "content": self.words(&texts)}))
    }

    /// Several texts are an array for OpenAI, and one text for the others, many of which read nothing else here.
    fn words<T: AsRef<str>>(&self, texts: &[T]) -> Value {
        match texts {
            [] => "".into(),
            [text] => text.as_ref().into(),
            _ if self.target.is_openai => texts.iter().map(|text| json!({"type": "text", "text": text.as_ref()})).collect(),
            _ => texts.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("\n\n").into(),
        }
    }

    /// `parts` with their places in the turn.
    fn turn(&self, role: &str, at: usize, parts: &[(usize, &Part)]) -> Result<Value, Unfit> {
        let texts: Option<Vec<&str>> = parts.iter().map(|(_, part)| if let Part::Text(text) = *part { Some(text.text.as_str()) } else { None }).collect();
        if let Some(texts) = texts {
            return Ok(json!({"role": role, "content": self.words(&texts)}));
        }
        let parts = parts.iter().map(|(number, part)| self.part(part, &format!("messages[{at}].content[{number}]")));
        Ok(json!({"role": role, "content": parts.collect::<Result<Vec<_>, _>>()?}))
    }

    fn part(&self, part: &Part, path: &str) -> Result<Value, Unfit> {
        match part {
            Part::Text(Text { text, .. }) | Part::Refusal(text) => Ok(json!({"type": "text", "text": text})),
            Part::Image(image) => self.image(image, path),
            Part::File(file) => self.file(file, path),
            Part::Audio { data, format } => Ok(json!({"type": "input_audio", "input_audio": {"data": data, "format": format}})),
            Part::ToolCall(_) | Part::ToolResult(_) | Part::Thought(_) => Err(Unfit::inexpressible(path)),
        }
    }

    fn image(&self, image: &Image, path: &str) -> Result<Value, Unfit> {
        let url = data_url::write(&image.source).ok_or_else(|| Unfit::inexpressible(path))?;
        let mut inner = json!({"url": url});
        if let Some(detail) = &image.detail {
            inner["detail"] = detail.as_str().into();
        }
        Ok(json!({"type": "image_url", "image_url": inner}))
    }

    fn file(&self, file: &File, path: &str) -> Result<Value, Unfit> {
        let mut inner = Map::new();
        match &file.source {
            Source::Base64 { media_type, data } => {
                // OpenAI demands a name, from whose ending it knows the kind.
                inner.insert("filename".to_owned(), file.name.as_deref().unwrap_or("document.pdf").into());
                inner.insert("file_data".to_owned(), format!("data:{media_type};base64,{data}").into());
            }
            Source::Url(url) if !self.target.is_openai => {
                inner.insert("filename".to_owned(), file.name.as_deref().unwrap_or("document.pdf").into());
                inner.insert("file_data".to_owned(), url.as_str().into());
            }
            Source::FileId { of: Dialect::Chat | Dialect::Responses, id } if self.target.is_openai => {
                inner.insert("file_id".to_owned(), id.as_str().into());
            }
            Source::Text(text) => {
                let title = file.name.as_ref().map(|name| format!("{name}:\n\n")).unwrap_or_default();
                return Ok(json!({"type": "text", "text": format!("{title}{text}")}));
            }
            Source::Url(_) | Source::FileId { .. } => return Err(Unfit::inexpressible(path)),
        }
        Ok(json!({"type": "file", "file": inner}))
    }

    fn assistant(&self, at: usize, message: &Message) -> Result<Value, Unfit> {
        let (mut texts, mut refusals, mut calls, mut thoughts): (Vec<&str>, Vec<&str>, Vec<Value>, Vec<&Thought>) = Default::default();
        for (number, part) in message.parts.iter().enumerate() {
            match part {
                Part::Text(text) => texts.push(&text.text),
                Part::Refusal(refusal) => refusals.push(refusal),
                Part::ToolCall(call) => calls.push(self.tool_call(call)),
                Part::Thought(thought) => thoughts.push(thought),
                _ => return Err(Unfit::inexpressible(format!("messages[{at}].content[{number}]"))),
            }
        }
        let mut out = Map::new();
        out.insert("role".to_owned(), "assistant".into());
        let says_nothing = texts.is_empty() && (!calls.is_empty() || !refusals.is_empty());
        out.insert("content".to_owned(), if says_nothing { Value::Null } else { self.words(&texts) });
        if !refusals.is_empty() {
            out.insert("refusal".to_owned(), refusals.concat().into());
        }
        self.thoughts(&mut out, &thoughts);
        if !calls.is_empty() {
            out.insert("tool_calls".to_owned(), calls.into());
        }
        Ok(Value::Object(out))
    }

    /// OpenAI reads no thoughts here; other servers read their own, and their seals only where they made some.
    fn thoughts(&self, out: &mut Map<String, Value>, thoughts: &[&Thought]) {
        let is_own = |thought: &&&Thought| [&thought.signature, &thought.redacted].into_iter().flatten().all(|seal| seal.for_provider(Dialect::Chat).is_some());
        let own: Vec<&Thought> = thoughts.iter().filter(is_own).copied().collect();
        if self.target.is_openai || own.is_empty() {
            return;
        }
        if own.iter().any(|thought| thought.signature.is_some() || thought.redacted.is_some() || thought.summary) {
            return thoughts::render(out, &own);
        }
        out.insert("reasoning_content".to_owned(), own.iter().map(|thought| thought.text.as_str()).collect::<String>().into());
    }

    fn call_id(&self, id: &str) -> String {
        if self.target.is_openai && id.len() > MAX_CALL_ID { call_id::fit(id, MAX_CALL_ID).into_owned() } else { id.to_owned() }
    }

    fn tool_call(&self, call: &ToolCall) -> Value {
        let id = self.call_id(&call.id);
        if call.custom && self.target.is_openai {
            return json!({"id": id, "type": "custom", "custom": {"name": tool_name::fit(&call.name), "input": call.arguments}});
        }
        let mut out = json!({"id": id, "type": "function", "function": {"name": tool_name::fit(&call.name), "arguments": call.as_function()}});
        // Google's own endpoint of this dialect wants its seals back; nobody else knows the field.
        let seal = call.signature.as_ref().and_then(|signature| signature.for_provider(Dialect::Gemini));
        if let Some(seal) = seal.filter(|_| !self.target.is_openai && self.target.model.contains("gemini")) {
            out["extra_content"] = json!({"google": {"thought_signature": seal}});
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::dialect::canonical::Signature;

    fn render(messages: Vec<Message>, is_openai: bool) -> Result<Value, Unfit> {
        let request = Request { messages, ..Request::default() };
        super::render(&request, &Target { model: "m", output_cap: None, default_cap: 1, is_openai }).map(Value::Array)
    }

    fn result(id: &str, parts: Vec<Part>, is_error: bool) -> Part {
        Part::ToolResult(ToolResult { call_id: id.to_owned(), name: None, parts, is_error, custom: false, cache: None })
    }

    fn image() -> Part {
        Part::Image(Image { source: Source::Url("u".to_owned()), detail: None, cache: None })
    }

    #[test]
    fn results_stand_before_all_else_and_pictures_after_them() {
        let user = |parts| Message { role: Role::User, parts };
        let messages = vec![
            user(vec![Part::Text("look".into()), result("a", vec![Part::Text("one".into()), image()], false)]),
            user(vec![result("b", vec![Part::Text("no such file".into())], true)]),
        ];
        let expected = json!([
            {"role": "tool", "tool_call_id": "a", "content": "one\n\n(What else it returned is in the next message.)"},
            {"role": "tool", "tool_call_id": "b", "content": "Error: no such file"},
            {"role": "user", "content": [{"type": "text", "text": "What the tool call a returned:"}, {"type": "image_url", "image_url": {"url": "u"}}]},
            {"role": "user", "content": "look"},
        ]);
        assert_eq!(render(messages, false).unwrap(), expected);
    }

    #[test]
    fn thoughts_go_only_to_whoever_made_them() {
        let thought = |of: Option<Dialect>| {
            Part::Thought(Thought { text: "t".to_owned(), signature: of.map(|of| Signature { of, value: "s".to_owned() }), ..Thought::default() })
        };
        let message = |parts| vec![Message { role: Role::Assistant, parts }];
        let parts = vec![thought(None), thought(Some(Dialect::Messages)), Part::Text("x".into())];
        assert_eq!(render(message(parts.clone()), true).unwrap(), json!([{"role": "assistant", "content": "x"}]));
        assert_eq!(render(message(parts), false).unwrap(), json!([{"role": "assistant", "content": "x", "reasoning_content": "t"}]));
        let own = render(message(vec![thought(Some(Dialect::Chat))]), false).unwrap();
        assert_eq!(own[0]["reasoning_details"], json!([{"type": "reasoning.text", "text": "t", "signature": "s", "index": 0}]));
    }

    #[test]
    fn ids_that_are_too_long_for_openai_change_alike_in_call_and_result() {
        let id = "x".repeat(41);
        let call = Part::ToolCall(ToolCall { id: id.clone(), name: "f".to_owned(), arguments: "{}".to_owned(), custom: false, signature: None, cache: None });
        let messages = vec![Message { role: Role::Assistant, parts: vec![call] }, Message { role: Role::User, parts: vec![result(&id, vec![], false)] }];
        let out = render(messages.clone(), true).unwrap();
        assert!(out[0]["tool_calls"][0]["id"] == out[1]["tool_call_id"] && out[1]["tool_call_id"].as_str().unwrap().len() <= 40);
        assert_eq!(render(messages, false).unwrap()[1]["tool_call_id"], id);
    }

    #[test]
    fn what_chat_cannot_carry_is_named() {
        let file = |source| Part::File(File { source, name: None, cache: None });
        let message = |part| vec![Message { role: Role::User, parts: vec![Part::Text("x".into()), part] }];
        for part in [file(Source::Url("u".to_owned())), file(Source::FileId { of: Dialect::Messages, id: "f".to_owned() })] {
            assert_eq!(render(message(part), true).unwrap_err().field, "messages[0].content[1]");
        }
        assert_eq!(render(message(file(Source::Text("doc".to_owned()))), true).unwrap()[0]["content"][1]["text"], "doc");
    }
}
