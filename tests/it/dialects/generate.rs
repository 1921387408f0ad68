//! Random requests and answers within what a dialect can say.

use farebox::kernel::Usage;
use farebox::relay::dialect::Dialect;
use farebox::relay::dialect::canonical::{
    Answer, Choice, Effort, File, Format, Image, Instruction, Message, Part, Reasoning, Request, Role, Sampling, Signature, Source, Stop, Text, Thought, Tool,
    ToolCall, ToolKind, ToolResult,
};
use farebox::relay::report::UsageReport;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Number, json};

/// What a dialect has words for and comes back as it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Says {
    pub(super) dialect: Dialect,
    /// Prompts of the developer beside the system's, and prompts in the middle of the conversation.
    pub(super) developer: bool,
    /// Marks for the cache.
    pub(super) cache: bool,
    /// How closely to look at a picture.
    pub(super) detail: bool,
    pub(super) audio: bool,
    /// Documents at an address and of plain text.
    pub(super) all_files: bool,
    /// Several texts in a tool's result.
    pub(super) long_results: bool,
    /// Pictures in a tool's result.
    pub(super) shown_results: bool,
    /// That a tool failed.
    pub(super) failed_results: bool,
    pub(super) custom_tools: bool,
    /// A choice among some of the tools.
    pub(super) among: bool,
    /// Parallel calls allowed in so many words, and not only forbidden.
    pub(super) parallel: bool,
    /// Parallel calls forbidden.
    pub(super) serial: bool,
    pub(super) refusals: bool,
    /// Penalties and a seed.
    pub(super) penalties: bool,
    pub(super) top_k: bool,
    /// Texts that end an answer.
    pub(super) stops: bool,
    /// Who asks.
    pub(super) users: bool,
    /// JSON mode; names, descriptions and strictness of schemas.
    pub(super) named_formats: bool,
    /// Thoughts go back to the upstream in a request.
    pub(super) thoughts_in_requests: bool,
    /// Withheld thoughts, too.
    pub(super) redacted_in_requests: bool,
    /// Several texts in an answer.
    pub(super) many_texts: bool,
    /// Thoughts in an answer that are summaries or have an id.
    pub(super) thought_ids: bool,
    /// Which text ended the answer; that the provider paused it.
    pub(super) sequences: bool,
    /// Which input was written to a cache, and for how long.
    pub(super) cache_writes: bool,
    /// Which output was thought.
    pub(super) reasoning_tokens: bool,
}

impl Says {
    pub(super) const fn of(dialect: Dialect) -> Self {
        let is_chat = matches!(dialect, Dialect::Chat);
        let is_messages = matches!(dialect, Dialect::Messages);
        let is_responses = matches!(dialect, Dialect::Responses);
        let is_gemini = matches!(dialect, Dialect::Gemini);
        let is_openai = is_chat || is_responses;
        Self {
            dialect,
            developer: is_openai,
            cache: is_messages,
            detail: is_openai,
            audio: is_chat || is_gemini,
            all_files: is_messages,
            long_results: !is_gemini,
            shown_results: is_messages || is_responses,
            failed_results: is_messages || is_gemini,
            custom_tools: is_openai,
            among: is_openai,
            parallel: is_openai,
            serial: !is_gemini,
            refusals: is_openai,
            penalties: is_chat || is_gemini,
            top_k: is_messages || is_gemini,
            stops: !is_responses,
            users: !is_gemini,
            named_formats: is_openai,
            thoughts_in_requests: !is_chat,
            redacted_in_requests: is_messages,
            many_texts: is_messages || is_responses,
            thought_ids: is_openai,
            sequences: is_messages,
            cache_writes: is_messages,
            reasoning_tokens: !is_messages,
        }
    }
}

/// The value when the dialect has words for it.
fn only<T: std::fmt::Debug + Clone + 'static>(says: bool, strategy: impl Strategy<Value = T> + 'static) -> BoxedStrategy<Option<T>> {
    if says { option::of(strategy).boxed() } else { Just(None).boxed() }
}

fn words() -> impl Strategy<Value = String> {
    "[a-zA-Zäß😀\"\\\\\n{}<>&/]{0,10}[a-z]"
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_-]{0,8}"
}

fn cache(says: Says) -> BoxedStrategy<Option<String>> {
    only(says.cache, prop_oneof![Just("5m".to_owned()), Just("1h".to_owned())])
}

fn text(says: Says) -> impl Strategy<Value = Part> {
    (words(), cache(says)).prop_map(|(text, cache)| Part::Text(Text { text, cache }))
}

fn base64() -> impl Strategy<Value = String> {
    "[A-Za-z0-9+/]{4}"
}

fn image(says: Says) -> impl Strategy<Value = Part> {
    let inline = base64().prop_map(|data| Source::Base64 { media_type: "image/png".to_owned(), data });
    let source = prop_oneof![name().prop_map(|name| Source::Url(format!("https://example.com/{name}.png"))), inline];
    let detail = only(says.detail, prop_oneof![Just("low".to_owned()), Just("high".to_owned())]);
    (source, detail, cache(says)).prop_map(|(source, detail, cache)| Part::Image(Image { source, detail, cache }))
}

fn file(says: Says) -> impl Strategy<Value = Part> {
    let inline = base64().prop_map(|data| Source::Base64 { media_type: "application/pdf".to_owned(), data }).boxed();
    let source = if says.all_files {
        prop_oneof![inline, words().prop_map(Source::Text), name().prop_map(|name| Source::Url(format!("https://example.com/{name}.pdf")))].boxed()
    } else {
        inline
    };
    (source, name(), cache(says)).prop_map(|(source, name, cache)| Part::File(File { source, name: Some(name), cache }))
}

fn user_part(says: Says) -> BoxedStrategy<Part> {
    let audio = (base64(), Just("wav".to_owned())).prop_map(|(data, format)| Part::Audio { data, format });
    let known = prop_oneof![4 => text(says), 1 => image(says), 1 => file(says)];
    if says.audio { prop_oneof![6 => known, 1 => audio].boxed() } else { known.boxed() }
}

/// A thought that a provider of the dialect sealed.
fn thought(says: Says, of: Vec<Dialect>, redacted_too: bool) -> BoxedStrategy<Part> {
    let seal = (proptest::sample::select(of), "[A-Za-z0-9+/=]{1,12}").prop_map(|(of, value)| Signature { of, value });
    let sealed = (words(), seal.clone()).prop_map(|(text, seal)| Thought { text, signature: Some(seal), ..Thought::default() });
    let redacted = base64().prop_map(|data| Thought { redacted: Some(Signature { of: Dialect::Messages, value: data }), ..Thought::default() });
    let summed =
        (words(), seal, option::of(name())).prop_map(|(text, seal, id)| Thought { id, text, summary: true, signature: Some(seal), ..Thought::default() });
    let known = if redacted_too { prop_oneof![3 => sealed, 1 => redacted].boxed() } else { sealed.boxed() };
    if says.thought_ids { prop_oneof![3 => known, 1 => summed].prop_map(Part::Thought).boxed() } else { known.prop_map(Part::Thought).boxed() }
}

/// A call without its id, which is numbered later.
fn call(says: Says) -> impl Strategy<Value = ToolCall> {
    let arguments = (name(), words()).prop_map(|(key, value)| json!({ key: value }).to_string());
    let custom = if says.custom_tools { any::<bool>().boxed() } else { Just(false).boxed() };
    (name(), arguments, custom, cache(says)).prop_map(|(name, arguments, custom, cache)| {
        // A tool has one kind only.
        let name = if custom { format!("custom_{name}") } else { name };
        ToolCall { id: String::new(), name, arguments, custom, signature: None, cache }
    })
}

fn result(says: Says) -> impl Strategy<Value = ToolResult> {
    let part = if says.shown_results { prop_oneof![3 => text(says), 1 => image(says)].boxed() } else { text(says).boxed() };
    let is_error = if says.failed_results { any::<bool>().boxed() } else { Just(false).boxed() };
    let most = if says.long_results { 3 } else { 2 };
    (vec(part, 1..most), is_error, cache(says)).prop_map(|(parts, is_error, cache)| ToolResult {
        call_id: String::new(),
        name: None,
        parts,
        is_error,
        custom: false,
        cache,
    })
}

/// What the user says, perhaps an instruction, and what the model does then, with the results of its calls.
fn exchange(says: Says) -> impl Strategy<Value = Vec<Message>> {
    let thoughts =
        if says.thoughts_in_requests { vec(thought(says, vec![says.dialect], says.redacted_in_requests), 0..2).boxed() } else { Just(Vec::new()).boxed() };
    let spoken = only(true, text(says));
    let refusal = only(says.refusals, words().prop_map(Part::Refusal));
    let instruction = only(
        says.developer,
        (any::<bool>(), words()).prop_map(|(developer, text)| Message { role: Role::System { developer }, parts: vec![Part::Text(text.into())] }),
    );
    let calls = vec((call(says), result(says)), 0..3);
    (vec(user_part(says), 1..4), instruction, thoughts, spoken, refusal, calls).prop_map(|(user, instruction, thoughts, spoken, refusal, calls)| {
        let (calls, results): (Vec<_>, Vec<_>) = calls.into_iter().map(|(call, result)| (Part::ToolCall(call), Part::ToolResult(result))).unzip();
        let fallback = (spoken.is_none() && refusal.is_none() && calls.is_empty()).then(|| Part::Text("so".into()));
        let assistant = thoughts.into_iter().chain(spoken).chain(refusal).chain(fallback).chain(calls).collect();
        let mut messages = vec![Message { role: Role::User, parts: user }];
        messages.extend(instruction);
        messages.push(Message { role: Role::Assistant, parts: assistant });
        if !results.is_empty() {
            messages.push(Message { role: Role::User, parts: results });
        }
        messages
    })
}

/// Gives each call an id of its own, and its result the same.
fn number(messages: &mut [Message]) {
    let (mut calls, mut results) = (0, 0);
    for part in messages.iter_mut().flat_map(|message| &mut message.parts) {
        match part {
            Part::ToolCall(call) => {
                call.id = format!("call_{calls}");
                calls += 1;
            }
            Part::ToolResult(result) => {
                result.call_id = format!("call_{results}");
                results += 1;
            }
            _ => {}
        }
    }
}

fn conversation(says: Says) -> impl Strategy<Value = Vec<Message>> {
    (vec(exchange(says), 0..4), vec(user_part(says), 1..3)).prop_map(|(exchanges, last)| {
        let mut messages: Vec<Message> = exchanges.into_iter().flatten().collect();
        messages.push(Message { role: Role::User, parts: last });
        number(&mut messages);
        messages
    })
}

fn tools(says: Says) -> impl Strategy<Value = Vec<Tool>> {
    let schema = name().prop_map(|name| json!({"type": "object", "properties": {name: {"type": "string"}}}));
    let strict = only(says.named_formats, any::<bool>());
    let function = (schema, strict).prop_map(|(schema, strict)| ToolKind::Function { parameters: Some(schema), strict });
    let kind = if says.custom_tools { prop_oneof![4 => function, 1 => Just(ToolKind::Custom { format: None })].boxed() } else { function.boxed() };
    let tool = (option::of(words()), kind, cache(says)).prop_map(|(description, kind, cache)| Tool { name: String::new(), description, kind, cache });
    vec(tool, 0..4).prop_map(|mut tools| {
        tools.iter_mut().enumerate().for_each(|(at, tool)| tool.name = format!("tool_{at}"));
        tools
    })
}

/// A choice that the tools allow.
fn choice(says: Says, tools: usize) -> BoxedStrategy<Option<Choice>> {
    if tools == 0 {
        return Just(None).boxed();
    }
    let named = (0..tools).prop_map(|at| Choice::Named(format!("tool_{at}")));
    let known = prop_oneof![Just(Choice::Auto), Just(Choice::Required), Just(Choice::None), named];
    let among = any::<bool>().prop_map(|required| Choice::Among { names: vec!["tool_0".to_owned()], required });
    if says.among { option::of(prop_oneof![4 => known, 1 => among]).boxed() } else { option::of(known).boxed() }
}

fn sampling(says: Says) -> impl Strategy<Value = Sampling> {
    let tenths = |most: u32| option::of((0..=most).prop_map(|tenths| Number::from_f64(f64::from(tenths) / 10.0).unwrap()));
    let whole = option::of((1_u64..100).prop_map(Number::from));
    (tenths(10), tenths(20), tenths(20), whole.clone(), whole).prop_map(move |(temperature, frequency, presence, top_k, seed)| {
        let penalties = |value: Option<Number>| value.filter(|_| says.penalties);
        Sampling {
            temperature,
            top_p: None,
            top_k: top_k.filter(|_| says.top_k),
            frequency_penalty: penalties(frequency),
            presence_penalty: penalties(presence),
            seed: penalties(seed),
        }
    })
}

fn format(says: Says) -> BoxedStrategy<Option<Format>> {
    let schema = name().prop_map(|name| json!({"type": "object", "properties": {name: {"type": "string"}}, "additionalProperties": false}));
    if !says.named_formats {
        return option::of(schema.prop_map(|schema| Format::JsonSchema { name: None, description: None, schema, strict: None })).boxed();
    }
    let named = (name(), option::of(words()), schema, option::of(any::<bool>()));
    let named = named.prop_map(|(name, description, schema, strict)| Format::JsonSchema { name: Some(name), description, schema, strict });
    option::of(prop_oneof![Just(Format::JsonObject), named]).boxed()
}

fn reasoning(says: Says) -> BoxedStrategy<Option<Reasoning>> {
    let auto = Some("auto".to_owned());
    match says.dialect {
        // The model of the tests does not reason, so that hints on sampling stay: see `super::target`.
        Dialect::Chat => return Just(None).boxed(),
        Dialect::Responses => {
            let effort = prop_oneof![Just(Effort::Minimal), Just(Effort::Low), Just(Effort::Medium), Just(Effort::High), Just(Effort::Max)];
            let summary = option::of(prop_oneof![Just("auto".to_owned()), Just("detailed".to_owned())]);
            let said = (effort, summary).prop_map(|(effort, summary)| Reasoning { effort: Some(effort), summary, sealed: true, ..Reasoning::default() });
            return option::of(said).boxed();
        }
        Dialect::Gemini => {
            let budget = prop_oneof![(128_u64..30_000).prop_map(Some), Just(None)];
            let said = (budget, any::<bool>()).prop_map(move |(budget, shown)| {
                let summary = auto.clone().filter(|_| shown);
                Reasoning { budget, dynamic: budget.is_none(), summary, ..Reasoning::default() }
            });
            return option::of(said).boxed();
        }
        Dialect::Messages => {}
    }
    let budget = (1_024_u64..4_000).prop_map({
        let summary = auto.clone();
        move |tokens| Reasoning { budget: Some(tokens), summary: summary.clone(), sealed: true, ..Reasoning::default() }
    });
    let effort = prop_oneof![Just(Effort::Low), Just(Effort::Medium), Just(Effort::High), Just(Effort::Max)];
    let dynamic = (option::of(effort), any::<bool>()).prop_map(move |(effort, shown)| {
        let summary = auto.clone().filter(|_| shown);
        Reasoning { effort, dynamic: true, summary, sealed: true, ..Reasoning::default() }
    });
    option::of(prop_oneof![budget, dynamic, Just(Reasoning { budget: Some(0), ..Reasoning::default() })]).boxed()
}

fn goes_on_without_thoughts(messages: &[Message]) -> bool {
    let last = messages.iter().rfind(|message| message.role == Role::Assistant);
    let has = |message: &Message, is: fn(&Part) -> bool| message.parts.iter().any(is);
    last.is_some_and(|last| has(last, |part| matches!(part, Part::ToolCall(_))) && !has(last, |part| matches!(part, Part::Thought(_))))
}

/// Requests that the dialect can say.
pub(super) fn request(says: Says) -> impl Strategy<Value = Request> {
    let developer = if says.developer { any::<bool>().boxed() } else { Just(false).boxed() };
    let instruction = (developer, words(), cache(says)).prop_map(|(developer, text, cache)| Instruction { developer, text: Text { text, cache } });
    let asked = tools(says).prop_flat_map(move |tools| {
        let parallel = only(says.serial && !tools.is_empty(), if says.parallel { any::<bool>().boxed() } else { Just(false).boxed() });
        (choice(says, tools.len()), parallel, Just(tools))
    });
    let stops = if says.stops { vec("[a-z]{1,4}", 0..4).boxed() } else { Just(Vec::new()).boxed() };
    let shape = (format(says), reasoning(says), sampling(says), stops, 8_000_u64..9_000, any::<bool>(), only(says.users, name()));
    (vec(instruction, 0..3), conversation(says), asked, shape).prop_map(move |(instructions, messages, (choice, parallel, tools), shape)| {
        let (format, reasoning, sampling, stop, cap, stream, user) = shape;
        // To think by a budget, the thoughts before the calls of the turn must be there.
        let is_cut = goes_on_without_thoughts(&messages);
        let reasoning = reasoning.filter(|reasoning| !is_cut || reasoning.budget.is_none());
        // A model of Anthropic's that thinks takes neither hints on sampling nor an order to call a tool.
        let thinks = says.dialect == Dialect::Messages && reasoning.as_ref().is_some_and(|reasoning| reasoning.budget != Some(0));
        let choice = choice.filter(|choice| !thinks || matches!(choice, Choice::Auto | Choice::None));
        Request {
            model: "public-model".to_owned(),
            instructions,
            messages,
            tools,
            tool_choice: choice,
            parallel_tool_calls: parallel,
            output_cap: Some(cap),
            stop,
            sampling: if thinks { Sampling::default() } else { sampling },
            format,
            reasoning,
            stream,
            user,
            ..Request::default()
        }
    })
}

fn usage(says: Says) -> impl Strategy<Value = Usage> {
    let n = 0_u64..1_000_000;
    (n.clone(), n.clone(), n.clone(), n.clone(), n.clone(), n).prop_map(move |(input, cached, five, hour, output, reasoning)| {
        let written = |tokens: u64| if says.cache_writes { tokens } else { 0 };
        let reasoning = if says.reasoning_tokens { reasoning } else { 0 };
        Usage { input, cached, cache_write: written(five), cache_write_1h: written(hour), output, reasoning, ..Usage::default() }
    })
}

fn stop(says: Says, has_calls: bool, has_refusal: bool) -> BoxedStrategy<Stop> {
    let natural = match (has_calls, has_refusal) {
        (true, _) => Stop::ToolUse,
        (false, true) => Stop::Refusal,
        (false, false) => Stop::End,
    };
    if says.sequences {
        let named = words().prop_map(|text| Stop::Sequence(Some(text)));
        return prop_oneof![Just(natural), Just(Stop::Length), named, Just(Stop::Refusal), Just(Stop::Pause)].boxed();
    }
    prop_oneof![Just(natural), Just(Stop::Length), Just(Stop::Filter)].boxed()
}

/// Answers that the dialect can say. `of`: whose seals may be on thoughts and calls.
pub(super) fn answer(says: Says, of: Vec<Dialect>) -> impl Strategy<Value = Answer> {
    let texts = if says.many_texts { vec(text(Says { cache: false, ..says }), 0..3).boxed() } else { vec(text(says), 0..2).boxed() };
    let refusal = only(says.refusals, words().prop_map(Part::Refusal));
    let calls = vec(call(Says { cache: false, ..says }), 0..3);
    (vec(thought(says, of, true), 0..3), texts, refusal, calls, usage(says), name()).prop_flat_map(move |(thoughts, texts, refusal, calls, usage, id)| {
        let (has_calls, has_refusal) = (!calls.is_empty(), refusal.is_some());
        let calls = calls.into_iter().enumerate().map(|(at, call)| Part::ToolCall(ToolCall { id: format!("call_{at}"), ..call }));
        let parts: Vec<Part> = thoughts.into_iter().chain(texts).chain(refusal).chain(calls).collect();
        stop(says, has_calls, has_refusal).prop_map(move |stop| Answer { id: Some(id.clone()), parts: parts.clone(), stop, usage: UsageReport::Usage(usage) })
    })
}
