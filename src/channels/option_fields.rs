//! The options of a channel as the texts of a form: reading them, and writing them back for the next edit.
//!
//! Lists have one entry per line. Every reader gives the translation key of what is wrong.

use super::channel::own_headers;
use super::dialect::{Dialect, Kind};
use super::draft::ChannelFields;
use super::options::{Capabilities, Cost, Options, Private, Probe};
use super::pattern;
use crate::kernel::Price;
use crate::kernel::fields::{self, Mistakes};
use crate::kernel::pricing::Rare;
use reqwest::header::{HeaderName, HeaderValue};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::{Map, Value};
use std::fmt::Display;
use std::time::Duration;
use url::Url;

const MAX_LINES: usize = 2_000;
const MAX_HEADERS: usize = 32;
const MAX_OVERRIDES: usize = 16 * 1024;
/// Ten milliseconds to an hour, as for the shop's own time-outs.
const TIMEOUT_MS: std::ops::RangeInclusive<u64> = 10..=3_600_000;
/// A probe is a request that somebody pays for.
const PROBE_MS: std::ops::RangeInclusive<u64> = 1_000..=86_400_000;

/// Headers that belong to one connection or to the body, and are the client's to set.
const NOT_OURS_TO_SET: [&str; 16] = [
    "host",
    "connection",
    "keep-alive",
    "proxy-authorization",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
    "content-length",
    "content-type",
    "content-encoding",
    "accept",
    "accept-encoding",
];

/// Fields of a request that decide what it is, or what it can cost: the price is calculated from what the customer asked.
const NOT_TO_OVERRIDE: [&str; 14] = [
    "model",
    "messages",
    "input",
    "contents",
    "prompt",
    "stream",
    "stream_options",
    "n",
    "best_of",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "generationConfig",
    "generation_config",
];

/// Fields that may be taken away, but not set: they add input, output, searches or runs that nobody held money for, or ask for another model or another rate.
const NOT_TO_SET: [&str; 40] = [
    "system",
    "instructions",
    "systemInstruction",
    "system_instruction",
    "tools",
    "functions",
    "web_search_options",
    "search_parameters",
    "enable_search",
    "plugins",
    "mcp_servers",
    "documents",
    "prediction",
    "modalities",
    "audio",
    "response_modalities",
    "candidateCount",
    "candidate_count",
    "candidates",
    "num_choices",
    "num_completions",
    "service_tier",
    "serviceTier",
    "speed",
    "inference_geo",
    "cache_control",
    "cachedContent",
    "cached_content",
    "previous_response_id",
    "conversation",
    "background",
    "container",
    "models",
    "route",
    "preset",
    "extra_body",
    "max_output_length",
    "maxOutputTokens",
    "maxTokens",
    "num_predict",
];

/// Stands in the form for what is stored sealed. Left as it is, it keeps that.
const HIDDEN: &str = "••••••";

/// Reads every option. What does not belong to the kind is left out; of `stored` comes what the form hides.
pub(super) fn parse(fields: &ChannelFields, kind: Kind, models: Option<&[String]>, stored: &Private, mistakes: &mut Mistakes) -> Option<Options> {
    let spoken = mistakes.take("chat", spoken(fields, kind));
    let model_mapping = mistakes.take("model_mapping", mapping(&fields.model_mapping, models));
    let max_concurrency = mistakes.take("max_concurrency", optional(&fields.max_concurrency, concurrency));
    let connect_timeout = mistakes.take("connect_timeout", optional(&fields.connect_timeout, timeout));
    let first_byte_timeout = mistakes.take("first_byte_timeout", optional(&fields.first_byte_timeout, timeout));
    let idle_timeout = mistakes.take("idle_timeout", optional(&fields.idle_timeout, timeout));
    let context_length = mistakes.take("context_length", optional(&fields.context_length, context_length));
    let body_overrides = mistakes.take("body_overrides", overrides(&fields.body_overrides));
    let azure_api_version = mistakes.take("azure_api_version", optional(&fields.azure_api_version, azure_version));
    let costs = mistakes.take("costs", costs(&fields.costs));
    let probe_model = mistakes.take("probe_model", optional(&fields.probe_model, |text| fields::model_name(text).map(str::to_owned)));
    let probe_interval = mistakes.take("probe_interval", optional(&fields.probe_interval, |text| seconds(text, PROBE_MS, "channels.error.probe_interval")));
    let extra_headers = mistakes.take("extra_headers", headers(&fields.extra_headers, kind, &stored.extra_headers));
    let proxy_url = mistakes.take("proxy_url", optional(&fields.proxy_url, |typed| proxy(typed, stored.proxy_url.as_deref())));
    let [chat, responses, messages] = spoken?;
    Some(Options {
        chat,
        responses,
        messages,
        model_mapping: model_mapping?,
        max_concurrency: max_concurrency?,
        connect_timeout: connect_timeout?,
        first_byte_timeout: first_byte_timeout?,
        idle_timeout: idle_timeout?,
        body_overrides: body_overrides?,
        azure_api_version: azure_api_version?.filter(|_| kind == Kind::AzureOpenAi),
        capabilities: Capabilities {
            tools: !fields::ticked(&fields.no_tools),
            vision: !fields::ticked(&fields.no_vision),
            json_schema: !fields::ticked(&fields.no_json_schema),
            streaming: !fields::ticked(&fields.no_streaming),
            context_length: context_length?,
        },
        costs: costs?,
        probe: Probe { model: probe_model?, interval: probe_interval? },
        private: Private { extra_headers: extra_headers?, proxy_url: proxy_url? },
    })
}

/// Where a rare cost is kept.
type Slot = fn(&mut Rare) -> &mut Option<Price>;

/// The words for what has a cost of its own, as the form of a model has them.
#[rustfmt::skip]
const RARE: [(&str, Slot); 11] = [
    ("cache_write_1h", |rare| &mut rare.cache_write_1h),
    ("audio_input", |rare| &mut rare.audio_input),
    ("image_input", |rare| &mut rare.image_input),
    ("reasoning", |rare| &mut rare.reasoning),
    ("audio_output", |rare| &mut rare.audio_output),
    ("image_output", |rare| &mut rare.image_output),
    ("characters", |rare| &mut rare.characters),
    ("audio_minute", |rare| &mut rare.audio_minute),
    ("image", |rare| &mut rare.image),
    ("request", |rare| &mut rare.request),
    ("search", |rare| &mut rare.search),
];

/// Whether Chat Completions, Responses and Messages are spoken, so far as that is not the usual of the kind; one of them has to be.
fn spoken(fields: &ChannelFields, kind: Kind) -> Result<[Option<bool>; 3], &'static str> {
    let typed = [(Dialect::Chat, &fields.chat), (Dialect::Responses, &fields.responses), (Dialect::Messages, &fields.messages)];
    let said = typed.map(|(dialect, text)| (dialect, kind.may_speak().contains(&dialect).then(|| fields::ticked(text))));
    if !kind.may_speak().is_empty() && !said.iter().any(|(_, said)| *said == Some(true)) {
        return Err("channels.error.no_dialect");
    }
    Ok(said.map(|(dialect, said)| said.filter(|said| *said != kind.speaks().contains(dialect))))
}

/// The texts of the form for these options of a channel of this kind, by field, without what is stored sealed.
pub(super) fn texts(kind: Kind, options: &Options) -> Vec<(&'static str, String)> {
    let tick = |on: bool| if on { "on".to_owned() } else { String::new() };
    let text = |value: Option<&dyn Display>| value.map(ToString::to_string).unwrap_or_default();
    let in_seconds = |duration: Option<Duration>| duration.map(seconds_text).unwrap_or_default();
    let can = &options.capabilities;
    let speaks = |dialect: Dialect| tick(kind.may_speak().contains(&dialect) && options.speaks(kind).contains(dialect));
    vec![
        ("chat", speaks(Dialect::Chat)),
        ("responses", speaks(Dialect::Responses)),
        ("messages", speaks(Dialect::Messages)),
        ("model_mapping", lines(&options.model_mapping, |(public, names)| format!("{public} = {}", names.join(", ")))),
        ("max_concurrency", text(options.max_concurrency.as_ref().map(|n| n as &dyn Display))),
        ("connect_timeout", in_seconds(options.connect_timeout)),
        ("first_byte_timeout", in_seconds(options.first_byte_timeout)),
        ("idle_timeout", in_seconds(options.idle_timeout)),
        ("extra_headers", lines(&options.private.extra_headers, |(name, _)| format!("{name}: {HIDDEN}"))),
        ("body_overrides", if options.body_overrides.is_empty() { String::new() } else { Value::Object(options.body_overrides.clone()).to_string() }),
        ("proxy_url", options.private.proxy_url.as_deref().map(masked).unwrap_or_default()),
        ("azure_api_version", options.azure_api_version.clone().unwrap_or_default()),
        ("no_tools", tick(!can.tools)),
        ("no_vision", tick(!can.vision)),
        ("no_json_schema", tick(!can.json_schema)),
        ("no_streaming", tick(!can.streaming)),
        ("context_length", text(can.context_length.as_ref().map(|n| n as &dyn Display))),
        ("costs", lines(&options.costs, cost_text)),
        ("probe_model", options.probe.model.clone().unwrap_or_default()),
        ("probe_interval", in_seconds(options.probe.interval)),
    ]
}

/// A proxy's address without its password; one without a password, which may be a token, without its user.
fn masked(proxy: &str) -> String {
    let Some((scheme, (user, host))) = proxy.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) else {
        return proxy.to_owned();
    };
    match user.split_once(':') {
        Some((user, _)) => format!("{scheme}://{user}:{HIDDEN}@{host}"),
        None => format!("{scheme}://{HIDDEN}@{host}"),
    }
}

fn lines<T>(entries: &[T], line: impl Fn(&T) -> String) -> String {
    entries.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn cost_text((name, cost): &(String, Cost)) -> String {
    let mut rare = cost.rare.clone();
    let rare: String = RARE.iter().filter_map(|(word, of)| of(&mut rare).map(|price| format!(" {word}={price}"))).collect();
    format!("{name} {} {} {} {}{rare}", cost.input, cost.output, cost.cached_input, cost.cache_write)
}

fn seconds_text(duration: Duration) -> String {
    Decimal::new(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX), 3).normalize().to_string()
}

fn optional<T>(typed: &str, parse: impl Fn(&str) -> Result<T, &'static str>) -> Result<Option<T>, &'static str> {
    let typed = typed.trim();
    if typed.is_empty() { Ok(None) } else { parse(typed).map(Some) }
}

/// The lines that say something, at most so many.
fn entries(typed: &str, most: usize) -> Result<Vec<&str>, &'static str> {
    let lines: Vec<&str> = typed.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if lines.len() > most { Err("channels.error.too_many_lines") } else { Ok(lines) }
}

fn concurrency(typed: &str) -> Result<u32, &'static str> {
    let number = fields::whole_number(typed, 1..=1_000_000, "channels.error.max_concurrency")?;
    u32::try_from(number).map_err(|_| "channels.error.max_concurrency")
}

fn context_length(typed: &str) -> Result<u64, &'static str> {
    let number = fields::whole_number(typed, 1..=1_000_000_000, "channels.error.context_length")?;
    u64::try_from(number).map_err(|_| "channels.error.context_length")
}

fn timeout(typed: &str) -> Result<Duration, &'static str> {
    seconds(typed, TIMEOUT_MS, "channels.error.timeout")
}

/// Seconds with a fraction down to the millisecond.
fn seconds(typed: &str, bounds: std::ops::RangeInclusive<u64>, wrong: &'static str) -> Result<Duration, &'static str> {
    let number = Decimal::from_str_exact(typed).map_err(|_| wrong)?;
    let ms = number.checked_mul(Decimal::from(1000)).filter(|ms| ms.fract().is_zero()).and_then(|ms| ms.to_u64()).ok_or(wrong)?;
    if bounds.contains(&ms) { Ok(Duration::from_millis(ms)) } else { Err(wrong) }
}

/// `public = upstream` or `public = upstream, another`.
fn mapping(typed: &str, models: Option<&[String]>) -> Result<Vec<(String, Vec<String>)>, &'static str> {
    const WRONG: &str = "channels.error.model_mapping";
    let mut mapping: Vec<(String, Vec<String>)> = Vec::new();
    for line in entries(typed, MAX_LINES)? {
        let (public, names) = line.split_once('=').ok_or(WRONG)?;
        let public = fields::model_name(public).map_err(|_| WRONG)?;
        let names = names.split(',').map(|name| fields::model_name(name).map(str::to_owned)).collect::<Result<Vec<String>, _>>().map_err(|_| WRONG)?;
        if names.iter().any(|name| pattern::is_pattern(name)) || mapping.iter().any(|(known, _)| known == public) {
            return Err(WRONG);
        }
        // A name that the channel does not serve is never looked up: a slip of the pen.
        let served = |models: &[String]| models.iter().any(|model| model == public || pattern::covers(model, public) || pattern::covers(public, model));
        if !models.is_none_or(served) {
            return Err("channels.error.mapping_not_served");
        }
        mapping.push((public.to_owned(), names));
    }
    Ok(mapping)
}

/// `Name: value`.
fn headers(typed: &str, kind: Kind, stored: &[(String, String)]) -> Result<Vec<(String, String)>, &'static str> {
    const WRONG: &str = "channels.error.extra_headers";
    let mut headers: Vec<(String, String)> = Vec::new();
    for line in entries(typed, MAX_HEADERS)? {
        let (name, value) = line.split_once(':').ok_or(WRONG)?;
        let name = HeaderName::try_from(name.trim()).map_err(|_| WRONG)?;
        let kept = || stored.iter().find(|(known, _)| known == name.as_str()).map(|(_, value)| value.as_str()).ok_or("channels.error.hidden");
        let value = if value.contains(HIDDEN) { kept()? } else { value.trim() };
        if value.is_empty() || HeaderValue::try_from(value).is_err() || headers.iter().any(|(known, _)| known == name.as_str()) {
            return Err(WRONG);
        }
        // The one header of the kind that is no key is Anthropic's version, which may be another.
        let is_key = own_headers(kind, "").iter().any(|(own, _)| *own == name && name != "anthropic-version");
        if is_key || NOT_OURS_TO_SET.contains(&name.as_str()) {
            return Err("channels.error.reserved_header");
        }
        headers.push((name.as_str().to_owned(), value.to_owned()));
    }
    Ok(headers)
}

fn overrides(typed: &str) -> Result<Map<String, Value>, &'static str> {
    const WRONG: &str = "channels.error.body_overrides";
    let typed = typed.trim();
    if typed.is_empty() {
        return Ok(Map::new());
    }
    if typed.len() > MAX_OVERRIDES {
        return Err(WRONG);
    }
    let overrides: Map<String, Value> = serde_json::from_str(typed).map_err(|_| WRONG)?;
    let is_reserved =
        |(field, value): (&String, &Value)| NOT_TO_OVERRIDE.contains(&field.as_str()) || (!value.is_null() && NOT_TO_SET.contains(&field.as_str()));
    if overrides.iter().any(is_reserved) { Err("channels.error.reserved_field") } else { Ok(overrides) }
}

fn proxy(typed: &str, stored: Option<&str>) -> Result<String, &'static str> {
    const WRONG: &str = "channels.error.proxy_url";
    if let Some(stored) = stored.filter(|stored| masked(stored) == typed) {
        return Ok(stored.to_owned());
    }
    // Another host does not get the password of the one that was stored.
    if typed.contains(HIDDEN) {
        return Err("channels.error.hidden");
    }
    let url = Url::parse(typed).map_err(|_| WRONG)?;
    let plain = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
    let known = matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") && url.has_host();
    if typed.len() > 500 || !plain || !known || reqwest::Proxy::all(typed).is_err() { Err(WRONG) } else { Ok(typed.to_owned()) }
}

/// A date, perhaps with `-preview`; or the word for the version of the day.
fn azure_version(typed: &str) -> Result<String, &'static str> {
    let date = typed.strip_suffix("-preview").unwrap_or(typed);
    let is_date = date.len() == 10 && date.bytes().enumerate().all(|(at, b)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() });
    if is_date || matches!(typed, "preview" | "latest") { Ok(typed.to_owned()) } else { Err("channels.error.azure_api_version") }
}

/// `model input output cached cache-write`; the last two as the input's when they are left out.
fn costs(typed: &str) -> Result<Vec<(String, Cost)>, &'static str> {
    const WRONG: &str = "channels.error.costs";
    let mut costs: Vec<(String, Cost)> = Vec::new();
    for line in entries(typed, MAX_LINES)? {
        let parts: Vec<&str> = line.split_whitespace().collect();
        let (name, prices) = parts.split_first().ok_or(WRONG)?;
        let name = fields::model_name(name).map_err(|_| WRONG)?;
        let (rare, prices): (Vec<&str>, Vec<&str>) = prices.iter().partition(|text| text.contains('='));
        let rare = rare_costs(&rare).ok_or(WRONG)?;
        let prices: Vec<Price> = prices.iter().map(|text| Price::per_million(text)).collect::<Result<_, _>>().map_err(|_| WRONG)?;
        let (input, output, more) = match prices.as_slice() {
            [input, output, more @ ..] if more.len() <= 2 => (*input, *output, more),
            _ => return Err(WRONG),
        };
        if costs.iter().any(|(known, _)| known == name) {
            return Err(WRONG);
        }
        let part = |at: usize| more.get(at).copied().unwrap_or(input);
        costs.push((name.to_owned(), Cost { input, output, cached_input: part(0), cache_write: part(1), rare }));
    }
    Ok(costs)
}

/// `image=0.04`, each at most once.
fn rare_costs(parts: &[&str]) -> Option<Rare> {
    let mut rare = Rare::default();
    for part in parts {
        let (word, price) = part.split_once('=')?;
        let (_, of) = RARE.iter().find(|(known, _)| *known == word)?;
        if of(&mut rare).replace(Price::per_million(price).ok()?).is_some() {
            return None;
        }
    }
    Some(rare)
}

#[cfg(test)]
mod tests {
    use super::super::dialect::Dialects;
    use super::*;
    use crate::kernel::FieldError;

    fn read(kind: Kind, fields: &ChannelFields) -> Result<Options, Vec<FieldError>> {
        edit(kind, fields, &Private::default())
    }

    fn edit(kind: Kind, fields: &ChannelFields, stored: &Private) -> Result<Options, Vec<FieldError>> {
        let mut mistakes = Mistakes::default();
        let options = parse(fields, kind, Some(&["gpt-4o".to_owned(), "claude-*".to_owned()]), stored, &mut mistakes);
        mistakes.check().map(|()| options.unwrap())
    }

    fn full() -> ChannelFields {
        ChannelFields {
            chat: "on".into(),
            responses: "on".into(),
            messages: "on".into(),
            model_mapping: " gpt-4o=a , b, a\n\nclaude-3 = c\n* = d".into(),
            max_concurrency: "20".into(),
            connect_timeout: "0.5".into(),
            first_byte_timeout: "30".into(),
            idle_timeout: "1.250".into(),
            extra_headers: "X-Team: blue: green\nhttp-referer:https://shop.example\n".into(),
            body_overrides: "{\"store\": false, \"user\": null}".into(),
            proxy_url: "socks5://me:secret@127.0.0.1:1080".into(),
            azure_api_version: "2024-10-21".into(),
            no_vision: "on".into(),
            context_length: "128000".into(),
            costs: "a 2.5 10 1.25\nb 0.15 0.60 0.075 0.2\nc 1 2 image=0.04 request=0.001".into(),
            probe_model: "a".into(),
            probe_interval: "60".into(),
            ..ChannelFields::default()
        }
    }

    #[test]
    fn a_full_form_is_read_and_written_back_the_same() {
        let options = read(Kind::OpenAi, &full()).unwrap();
        assert!(options.speaks(Kind::OpenAi) == Dialects::of(Kind::OpenAi.may_speak()) && options.azure_api_version.is_none());
        assert_eq!(options.model_mapping[0], ("gpt-4o".to_owned(), vec!["a".to_owned(), "b".into(), "a".into()]));
        assert_eq!(options.private.extra_headers[0], ("x-team".to_owned(), "blue: green".to_owned()));
        assert_eq!((options.connect_timeout, options.idle_timeout), (Some(Duration::from_millis(500)), Some(Duration::from_millis(1250))));
        assert!(options.capabilities.tools && !options.capabilities.vision && options.capabilities.context_length == Some(128_000));
        assert_eq!(options.costs[0].1.cache_write, options.costs[0].1.input);
        assert_eq!(options.body_overrides["user"], Value::Null);
        let texts = texts(Kind::OpenAi, &options);
        let again = ChannelFields::from_lookup(|name| texts.iter().find(|(known, _)| *known == name).map(|(_, text)| text.clone()).unwrap_or_default());
        assert_eq!(edit(Kind::OpenAi, &again, &options.private), Ok(options.clone()));
        assert!(!format!("{options:?}").contains("me:secret"));
        let stored = serde_json::to_string(&options).unwrap();
        assert!(!stored.contains("secret") && !stored.contains("blue"), "what may be secret is not stored in clear: {stored}");
    }

    #[test]
    fn what_is_sealed_is_not_shown_and_stays_unless_it_is_typed_again() {
        let stored = read(Kind::OpenAi, &full()).unwrap().private;
        let shown = texts(Kind::OpenAi, &Options { private: stored.clone(), ..Options::default() });
        let shown = |name: &str| shown.iter().find(|(known, _)| *known == name).map(|(_, text)| text.clone()).unwrap();
        assert_eq!(shown("extra_headers"), format!("x-team: {HIDDEN}\nhttp-referer: {HIDDEN}"));
        assert_eq!(shown("proxy_url"), format!("socks5://me:{HIDDEN}@127.0.0.1:1080"));
        let with = |headers: &str, proxy: &str| {
            let fields = ChannelFields { chat: "on".into(), extra_headers: headers.to_owned(), proxy_url: proxy.to_owned(), ..ChannelFields::default() };
            edit(Kind::OpenAi, &fields, &stored).map(|options| options.private)
        };
        // One stays, one is typed anew, one is new.
        let changed = with(&format!("X-Team: {HIDDEN}\nhttp-referer: https://new.example\nx-more: 1"), "").unwrap();
        let expected = [("x-team", "blue: green"), ("http-referer", "https://new.example"), ("x-more", "1")];
        assert_eq!((changed.extra_headers, changed.proxy_url), (expected.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(), None));
        let wrong = |field| Err(vec![FieldError::new(field, "channels.error.hidden")]);
        assert_eq!(with(&format!("x-other: {HIDDEN}"), ""), wrong("extra_headers"));
        assert_eq!(with("", &format!("socks5://me:{HIDDEN}@evil.example:1080")), wrong("proxy_url"));
        for (proxy, expected) in [
            ("http://token@proxy.example:3128", format!("http://{HIDDEN}@proxy.example:3128")),
            ("http://a:b:c@d@proxy.example", format!("http://a:{HIDDEN}@proxy.example")),
            ("http://proxy.example:3128", "http://proxy.example:3128".to_owned()),
        ] {
            assert_eq!(masked(proxy), expected);
        }
    }

    #[test]
    fn what_adds_to_the_cost_is_not_set_but_may_be_taken_away() {
        for field in NOT_TO_SET {
            assert_eq!(overrides(&format!("{{\"temperature\": 1, \"{field}\": 1}}")), Err("channels.error.reserved_field"), "{field}");
            assert!(overrides(&format!("{{\"{field}\": null}}")).is_ok(), "{field}");
        }
    }

    #[test]
    fn options_of_another_kind_are_left_out() {
        let options = read(Kind::AzureOpenAi, &full()).unwrap();
        assert!((options.chat, options.responses, options.messages) == (None, None, None), "what is usual is not stored");
        assert_eq!(options.azure_api_version.as_deref(), Some("2024-10-21"));
        assert_eq!(read(Kind::OpenAi, &ChannelFields { chat: "on".into(), ..ChannelFields::default() }), Ok(Options::default()));
        assert_eq!(read(Kind::Gemini, &ChannelFields::default()), Ok(Options::default()), "kinds with one dialect are not asked");
    }

    #[test]
    fn a_server_speaks_what_is_ticked_and_at_least_one_dialect() {
        let only = |kind, field: &str| {
            let fields = ChannelFields::from_lookup(|name| if name == field { "on".into() } else { String::new() });
            read(kind, &fields).map(|options| (options.speaks(kind), texts(kind, &options).into_iter().filter(|(_, text)| text == "on").collect::<Vec<_>>()))
        };
        for (field, dialect) in [("chat", Dialect::Chat), ("responses", Dialect::Responses), ("messages", Dialect::Messages)] {
            let expected = Ok((Dialects::of(&[dialect]), vec![(field, "on".to_owned())]));
            assert_eq!(only(Kind::OpenAi, field), expected);
            if dialect != Dialect::Messages {
                assert_eq!(only(Kind::AzureOpenAi, field), expected);
            }
        }
        let none = Err(vec![FieldError::new("chat", "channels.error.no_dialect")]);
        assert_eq!((only(Kind::OpenAi, "nothing"), only(Kind::AzureOpenAi, "messages")), (none.clone(), none));
    }

    #[test]
    fn every_mistake_is_told() {
        type Change = fn(&mut ChannelFields, &str);
        let cases: &[(&str, Change, &str, &[&str])] = &[
            (
                "model_mapping",
                |f, t| f.model_mapping = t.into(),
                "channels.error.model_mapping",
                &["gpt-4o", "gpt-4o =", "= a", "gpt-4o = a*", "gpt-4o = a b", "gpt-4o=a\ngpt-4o=b"],
            ),
            ("model_mapping", |f, t| f.model_mapping = t.into(), "channels.error.mapping_not_served", &["o3 = a"]),
            ("max_concurrency", |f, t| f.max_concurrency = t.into(), "channels.error.max_concurrency", &["0", "1000001"]),
            (
                "connect_timeout",
                |f, t| f.connect_timeout = t.into(),
                "channels.error.timeout",
                &["0", "-1", "x", "0.0001", "3601", "1e3", "99999999999999999999999999999999"],
            ),
            ("first_byte_timeout", |f, t| f.first_byte_timeout = t.into(), "channels.error.timeout", &["0.009"]),
            ("idle_timeout", |f, t| f.idle_timeout = t.into(), "channels.error.timeout", &["soon"]),
            ("extra_headers", |f, t| f.extra_headers = t.into(), "channels.error.extra_headers", &["X-A", "X-A:", "X A: b", "X-A: b\nx-a: c", "x-a: \u{7}"]),
            (
                "extra_headers",
                |f, t| f.extra_headers = t.into(),
                "channels.error.reserved_header",
                &["Authorization: Bearer x", "connection: close", "Host: a", "Content-Length: 5"],
            ),
            (
                "extra_headers",
                |f, t| f.extra_headers = t.into(),
                "channels.error.too_many_lines",
                &["a: b\n".repeat(33).as_str()].map(|t| Box::leak(t.to_owned().into_boxed_str()) as &str),
            ),
            ("body_overrides", |f, t| f.body_overrides = t.into(), "channels.error.body_overrides", &["[]", "{", "1", "{\"a\":}"]),
            (
                "body_overrides",
                |f, t| f.body_overrides = t.into(),
                "channels.error.reserved_field",
                &["{\"max_tokens\":1}", "{\"stream\":null}", "{\"tools\":[{\"type\":\"web_search\"}]}", "{\"service_tier\":\"priority\"}"],
            ),
            ("proxy_url", |f, t| f.proxy_url = t.into(), "channels.error.proxy_url", &["127.0.0.1:1080", "ftp://a", "http://a/b", "http://a?b", "socks5://"]),
            ("azure_api_version", |f, t| f.azure_api_version = t.into(), "channels.error.azure_api_version", &["v1", "2024-1-1", "2024-10-21-beta"]),
            ("context_length", |f, t| f.context_length = t.into(), "channels.error.context_length", &["0"]),
            (
                "costs",
                |f, t| f.costs = t.into(),
                "channels.error.costs",
                &["a", "a 1", "a 1 -2", "a 1 2 3 4 5", "a 0,5 1", "a 1 2\na 1 2", "a image=1", "a 1 2 picture=1", "a 1 2 image=-1", "a 1 2 image=1 image=1"],
            ),
            ("probe_model", |f, t| f.probe_model = t.into(), "field.model_name", &["a b"]),
            ("probe_interval", |f, t| f.probe_interval = t.into(), "channels.error.probe_interval", &["0.5", "86401"]),
        ];
        for (field, change, key, texts) in cases {
            for text in *texts {
                let mut fields = full();
                change(&mut fields, text);
                assert_eq!(read(Kind::OpenAi, &fields), Err(vec![FieldError::new(field, key)]), "{field}: {text}");
            }
        }
        let mut fields = ChannelFields { extra_headers: "Authorization: Bearer x\nanthropic-version: 2024-01-01".into(), ..ChannelFields::default() };
        assert!(read(Kind::Anthropic, &fields).is_ok(), "a header that the kind does not use for its key may be set");
        fields.extra_headers = "x-api-key: y".into();
        assert_eq!(read(Kind::Anthropic, &fields), Err(vec![FieldError::new("extra_headers", "channels.error.reserved_header")]));
    }
}
