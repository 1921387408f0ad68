//! Which channel is asked next. Pure but for the channels' health, which says who may be asked at all.
//!
//! A [`Route`] is made for each request and hands out one attempt after the other: only channels that can do what the request needs, those of the
//! highest priority first, by weighted chance within one priority. A request with an [affinity](affinity::of) always has the same chance, so
//! that a conversation stays where its prompt is cached; when channels come, go or fail, only the conversations on those move. A channel whose
//! key is refused is asked once more with another key, and one with a pool of models for another of them, before the next channel has its turn;
//! what else it has, and whatever a channel has that was silent, comes when all others had theirs.
//!
//! What happened is kept as a [`Decision`], for the request's row.

pub mod affinity;
mod chance;

pub use crate::usage::{Answered, Decision, Passed, Tried};

use crate::channels::{Channel, Dialect, Permit, Refusal, Target, Verdict};
use crate::kernel::Random;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// What a request asks of a channel.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// It can be served in any of these forms, the best first; [`chat`] for a chat that can be translated.
    pub targets: &'static [Target<'static>],
    /// It has tools.
    pub tools: bool,
    /// It has images.
    pub vision: bool,
    /// The answer must follow a JSON schema.
    pub json_schema: bool,
    /// The answer is a stream.
    pub streaming: bool,
    /// Tokens that it needs at least, those of the output that its caller asked for among them: a channel with less room is left out.
    pub tokens: u64,
}

/// Every form of a chat, the caller's own first, then those into which it translates with the least loss, as [`Dialect::ALL`] has them.
pub fn chat(dialect: Dialect) -> &'static [Target<'static>] {
    const CHAT: Target<'static> = Target::Chat(Dialect::Chat);
    const RESPONSES: Target<'static> = Target::Chat(Dialect::Responses);
    const MESSAGES: Target<'static> = Target::Chat(Dialect::Messages);
    const GEMINI: Target<'static> = Target::Chat(Dialect::Gemini);
    match dialect {
        Dialect::Chat => &[CHAT, RESPONSES, MESSAGES, GEMINI],
        Dialect::Responses => &[RESPONSES, CHAT, MESSAGES, GEMINI],
        Dialect::Messages => &[MESSAGES, CHAT, RESPONSES, GEMINI],
        Dialect::Gemini => &[GEMINI, CHAT, RESPONSES, MESSAGES],
    }
}

/// Why a channel was not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skip {
    /// It offers none of the forms.
    Dialect,
    /// It takes no tools.
    Tools,
    /// It takes no images.
    Vision,
    /// It knows no JSON schema.
    JsonSchema,
    /// It does not stream.
    Streaming,
    /// The input, with the output that was asked for, is too long for it.
    Context,
    /// It, or the model on it, is out of use.
    Open,
    /// All of its keys are.
    Keys,
    /// As many requests run as may.
    Busy,
    /// The request cannot be said in any dialect that it speaks.
    Unfit,
    /// It was switched off while the request was looking for an answer.
    Disabled,
}

impl Skip {
    /// The word in a stored decision.
    pub const fn word(self) -> &'static str {
        match self {
            Skip::Dialect => "dialect",
            Skip::Tools => "tools",
            Skip::Vision => "vision",
            Skip::JsonSchema => "json_schema",
            Skip::Streaming => "streaming",
            Skip::Context => "context",
            Skip::Open => "open",
            Skip::Keys => "keys",
            Skip::Busy => "busy",
            Skip::Unfit => "unfit",
            Skip::Disabled => "disabled",
        }
    }
}

/// Why nobody (else) can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unserved {
    /// No channel serves the model.
    Nobody,
    /// Every channel that serves it lacks something that the request needs; this, for one.
    Incapable(Skip),
    /// Those that could are out of use; the first comes back then (unix milliseconds).
    Until(i64),
    /// Those that could are busy, or were tried.
    Busy,
}

/// Leave to ask one channel once.
#[derive(Debug)]
pub struct Attempt {
    /// Whom.
    pub channel: Arc<Channel>,
    /// With which key and for which of the upstream's models. The channel counts one more running request until this is dropped.
    pub permit: Permit,
    /// In which form.
    pub target: Target<'static>,
    /// Its place among the candidates.
    at: usize,
    /// The place of its model in the channel's pool.
    name: usize,
}

/// What has failed of a channel.
#[derive(Debug)]
struct Failed {
    at: usize,
    keys: Vec<usize>,
    names: Vec<usize>,
}

/// The attempts of one request.
#[derive(Debug)]
pub struct Route {
    candidates: Arc<[Arc<Channel>]>,
    /// The public name.
    model: String,
    needs: Needs,
    affinity: Option<u64>,
    seed: u64,
    /// The channels of the priority under way that had no turn yet, in no order, each with its lot: the lowest is next.
    group: Vec<(f64, usize)>,
    /// Where the next priority begins.
    rest: usize,
    failed: Vec<Failed>,
    /// The one that is asked again before all others.
    again: Option<usize>,
    /// Those that are asked again after all others.
    later: VecDeque<usize>,
    decision: Decision,
    soonest: Option<i64>,
    busy: bool,
    incapable: Option<Skip>,
}

impl Route {
    /// The route of a request for `model`, by its public name, among the channels that serve it, highest priority first.
    pub fn new(candidates: Arc<[Arc<Channel>]>, model: &str, needs: Needs, affinity: Option<u64>, random: &Random) -> Self {
        // One channel needs no chance; the number is made only when somebody asks.
        let seed = affinity.unwrap_or_else(|| if candidates.len() > 1 || has_pool(&candidates, model) { u64::from_le_bytes(random.bytes()) } else { 0 });
        let decision = Decision::of(candidates.len());
        let (group, rest, failed, again, later) = (Vec::new(), 0, Vec::new(), None, VecDeque::new());
        let (soonest, busy, incapable) = (None, false, None);
        Self { candidates, model: model.to_owned(), needs, affinity, seed, group, rest, failed, again, later, decision, soonest, busy, incapable }
    }

    /// The next channel to ask, or none: [`Route::unserved`] says why.
    pub fn next_attempt(&mut self) -> Option<Attempt> {
        if let Some(at) = self.again.take()
            && let Ok(attempt) = self.admit(at)
        {
            return Some(attempt);
        }
        while let Some(at) = self.draw() {
            match self.admit(at) {
                Ok(attempt) => return Some(attempt),
                Err(why) => self.decision.pass(self.candidates[at].id, why.word()),
            }
        }
        while let Some(at) = self.later.pop_front() {
            if let Ok(attempt) = self.admit(at) {
                return Some(attempt);
            }
        }
        None
    }

    /// The channel whose turn it is: the lowest lot of the priority under way.
    fn draw(&mut self) -> Option<usize> {
        if self.group.is_empty() {
            let priority = self.candidates.get(self.rest)?.priority;
            let group = self.candidates[self.rest..].iter().take_while(|channel| channel.priority == priority);
            // Who is alone needs no lot.
            self.group = match group.clone().count() {
                1 => vec![(0.0, self.rest)],
                _ => group.zip(self.rest..).map(|(channel, at)| (chance::lot(self.seed, channel.id, channel.weight), at)).collect(),
            };
            self.rest += self.group.len();
        }
        let lowest = (0..self.group.len()).min_by(|a, b| self.group[*a].0.total_cmp(&self.group[*b].0))?;
        Some(self.group.swap_remove(lowest).1)
    }

    /// Leave to ask a channel, with a key and for a model of its pool that have not failed.
    fn admit(&mut self, at: usize) -> Result<Attempt, Skip> {
        let channel = Arc::clone(&self.candidates[at]);
        let failed = self.failed.iter().find(|failed| failed.at == at);
        let (keys, names) = failed.map_or((Vec::new(), Vec::new()), |failed| (failed.keys.clone(), failed.names.clone()));
        let target = match suits(&channel, &self.needs) {
            Ok(target) => target,
            Err(why) => {
                self.incapable = Some(why);
                return Err(why);
            }
        };
        let pool = channel.options.upstream_names(&self.model);
        let (count, start) = (pool.len().max(1), chance::place(self.seed, channel.id, pool.len()));
        let mut why = Skip::Open;
        for name in (0..count).map(|step| (start + step) % count).filter(|name| !names.contains(name)) {
            let upstream = pool.get(name).map_or(self.model.as_str(), String::as_str);
            match channel.permit(upstream, self.affinity, &keys) {
                Ok(mut permit) => {
                    permit.chat = matches!(target, Target::Chat(_));
                    return Ok(Attempt { channel, permit, target, at, name });
                }
                Err(refusal) => why = self.note(refusal),
            }
        }
        Err(why)
    }

    fn note(&mut self, refusal: Refusal) -> Skip {
        let mut until = |at: i64| self.soonest = Some(self.soonest.map_or(at, |soonest| soonest.min(at)));
        match refusal {
            Refusal::Open(at) => {
                until(at);
                Skip::Open
            }
            Refusal::Keys(at) => {
                // At the end of time stands a channel whose keys were all tried by this request.
                if at < i64::MAX {
                    until(at);
                }
                Skip::Keys
            }
            Refusal::Busy => {
                self.busy = true;
                Skip::Busy
            }
        }
    }

    /// Counts an attempt that came to nothing, after so many milliseconds. `retry_after` is the pause that the upstream asked for.
    pub fn missed(&mut self, mut attempt: Attempt, verdict: Verdict, retry_after: Option<Duration>, ms: i64) {
        attempt.permit.report(verdict, retry_after);
        self.decision.tried(tried(&self.model, &attempt, verdict, ms));
        let at = attempt.at;
        let known = self.failed.iter().position(|failed| failed.at == at).unwrap_or_else(|| {
            self.failed.push(Failed { at, keys: Vec::new(), names: Vec::new() });
            self.failed.len() - 1
        });
        let failed = &mut self.failed[known];
        let is_first = failed.keys.is_empty() && failed.names.is_empty();
        let has_more = if verdict.is_the_keys() {
            failed.keys.push(attempt.permit.key);
            failed.keys.len() < attempt.channel.keys.len()
        } else if verdict.is_the_models() {
            failed.names.push(attempt.name);
            failed.names.len() < attempt.channel.options.upstream_names(&self.model).len()
        } else {
            false
        };
        // Attempts are few and patience is short: neither is spent on one channel while another has had no turn.
        match has_more {
            true if is_first && verdict != Verdict::Timeout => self.again = Some(at),
            true => self.later.push_back(at),
            false => {}
        }
    }

    /// Gives an attempt back that was not made, since the request cannot be said in the channel's dialect.
    pub fn unfit(&mut self, attempt: Attempt) {
        self.incapable = Some(Skip::Unfit);
        self.decision.pass(attempt.channel.id, Skip::Unfit.word());
    }

    /// Gives an attempt back that was not made, since the channel has been switched off.
    pub fn gone(&mut self, attempt: Attempt) {
        self.decision.pass(attempt.channel.id, Skip::Disabled.word());
    }

    /// Counts an attempt that brought an answer, whose first byte came after so many milliseconds. The attempt is kept until the answer has ended.
    pub fn answered(&mut self, attempt: &mut Attempt, status: u16, ms: i64) {
        let verdict = if (200..300).contains(&status) { Verdict::Ok } else { Verdict::Status(status) };
        attempt.permit.report(verdict, None);
        self.decision.tried(tried(&self.model, attempt, Verdict::Status(status), ms));
    }

    /// Why there is nobody (else) to ask.
    pub fn unserved(&self) -> Unserved {
        match (self.soonest, self.incapable) {
            _ if self.candidates.is_empty() => Unserved::Nobody,
            (Some(at), _) => Unserved::Until(at),
            (None, Some(why)) if !self.busy && self.decision.attempts().is_empty() => Unserved::Incapable(why),
            _ => Unserved::Busy,
        }
    }

    /// What happened so far.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// The same, when nobody is asked any more.
    pub fn take_decision(&mut self) -> Decision {
        std::mem::take(&mut self.decision)
    }
}

/// What is kept of an attempt.
fn tried(public: &str, attempt: &Attempt, verdict: Verdict, ms: i64) -> Tried {
    let result = match verdict {
        Verdict::Ok => Answered::Status(200),
        Verdict::Status(status) => Answered::Status(status),
        Verdict::Timeout | Verdict::TimeUp => Answered::Word("timeout".into()),
        Verdict::Connect => Answered::Word("connect".into()),
        Verdict::Broken => Answered::Word("broken".into()),
    };
    let model = (attempt.permit.model != public).then(|| attempt.permit.model.clone());
    Tried { channel: attempt.channel.id, key: attempt.permit.key, model, result, ms }
}

/// Whether one of the channels has several of the upstream's models for this name.
pub fn has_pool(candidates: &[Arc<Channel>], model: &str) -> bool {
    candidates.iter().any(|channel| channel.options.upstream_names(model).len() > 1)
}

/// The form in which a channel can serve a request.
fn suits(channel: &Channel, needs: &Needs) -> Result<Target<'static>, Skip> {
    let can = &channel.options.capabilities;
    let lacks = [
        (needs.tools && !can.tools, Skip::Tools),
        (needs.vision && !can.vision, Skip::Vision),
        (needs.json_schema && !can.json_schema, Skip::JsonSchema),
        (needs.streaming && !can.streaming, Skip::Streaming),
        (can.context_length.is_some_and(|most| needs.tokens > most), Skip::Context),
    ];
    if let Some((_, why)) = lacks.into_iter().find(|(lacks, _)| *lacks) {
        return Err(why);
    }
    needs.targets.iter().copied().find(|target| channel.offers(*target)).ok_or(Skip::Dialect)
}

#[cfg(test)]
mod tests;
