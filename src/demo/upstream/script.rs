//! What an answer does on the wire, step by step, with its faults written in: decided before the first byte, so that it can be
//! read and tested without a connection.

use super::Pace;
use super::call::Call;
use super::fault::Fault;
use super::switches::{Framing, Switches};
use axum::body::Bytes;
use std::collections::VecDeque;
use std::time::Duration;

/// Chunks before an endless answer begins to repeat itself.
const BEFORE_ENDLESS: u64 = 3;

/// Which part of an answer some bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Head,
    Content,
    Tail,
}

/// Bytes that leave together, and what they carry.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub bytes: Bytes,
    pub text: String,
    pub tokens: u64,
    part: Part,
}

impl Frame {
    pub fn head(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into(), text: String::new(), tokens: 0, part: Part::Head }
    }

    pub fn content(bytes: impl Into<Bytes>, text: impl Into<String>, tokens: u64) -> Self {
        Self { bytes: bytes.into(), text: text.into(), tokens, part: Part::Content }
    }

    pub fn tail(bytes: impl Into<Bytes>) -> Self {
        Self { part: Part::Tail, ..Self::head(bytes) }
    }

    pub fn is_content(&self) -> bool {
        self.part == Part::Content
    }

    /// The first half of the bytes, without what only the whole of them says.
    fn half(&self) -> Self {
        Self::head(self.bytes.slice(..self.bytes.len() / 2))
    }
}

/// One step.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Pause(Duration),
    Send(Frame),
    /// Waits at the gate.
    Hold,
    /// Waits for ever.
    Stall,
    /// Breaks the connection.
    Break,
    /// Breaks the connection with a reset.
    Reset,
    /// Sends the same again until the caller goes away.
    Repeat(Frame),
}

/// All steps of an answer.
#[derive(Debug)]
pub(super) struct Script {
    /// Before the status line leaves.
    pub before: Vec<Act>,
    pub content_type: &'static str,
    /// The length of the body where it is known, as for most answers that are not streamed.
    pub length: Option<usize>,
    pub acts: VecDeque<Act>,
}

fn opening(switches: &Switches, first_byte: Duration) -> Vec<Act> {
    let gate = (switches.gate == Some(0)).then_some(Act::Hold);
    let stall = (switches.fault == Some(Fault::Stall(None))).then_some(Act::Stall);
    [Act::Pause(first_byte)].into_iter().chain(gate).chain(stall).collect()
}

/// The script of a streamed answer.
pub(super) fn streamed(call: &Call, content_type: &'static str, frames: Vec<Frame>, switches: &Switches, pace: Pace) -> Script {
    let before = opening(switches, Duration::from_millis(pace.first_byte_ms));
    let mut acts = faulted(call, frames, switches, Duration::from_millis(pace.chunk_ms));
    acts = acts.into_iter().flat_map(|act| framed(act, switches.framing)).collect();
    Script { before, content_type, length: None, acts }
}

fn faulted(call: &Call, frames: Vec<Frame>, switches: &Switches, pause: Duration) -> VecDeque<Act> {
    let (mut acts, mut sent) = (VecDeque::new(), 0);
    let mut gate = switches.gate.filter(|n| *n > 0);
    let mut fault = switches.fault.as_ref().and_then(|fault| Some((due(fault)?, fault)));
    for frame in frames {
        let closing = frame.part == Part::Tail;
        if gate.take_if(|n| closing || frame.is_content() && sent >= *n).is_some() {
            acts.push_back(Act::Hold);
        }
        if let Some((_, fault)) = fault.take_if(|(n, _)| closing || frame.is_content() && sent >= *n) {
            let (act, goes_on) = strike(call, fault, &frame, &acts);
            acts.extend(act);
            if !goes_on {
                return acts;
            }
        }
        if frame.is_content() {
            acts.push_back(Act::Pause(pause));
            sent += 1;
        }
        acts.push_back(Act::Send(frame));
    }
    acts
}

/// After how many chunks a fault of a stream is due; none for those that are over before the stream begins.
fn due(fault: &Fault) -> Option<u64> {
    match fault {
        Fault::Stall(chunks) | Fault::Reset(chunks) => *chunks,
        Fault::Cut(n) | Fault::Short(n) | Fault::Torn(n) | Fault::ErrorEvent(n) | Fault::Overload(n) | Fault::BadSse(n) | Fault::Noise(n) => Some(*n),
        Fault::Endless => Some(BEFORE_ENDLESS),
        Fault::BadJson => Some(0),
        Fault::Status(_) | Fault::HangUp | Fault::Html | Fault::Redirect | Fault::Empty | Fault::Absent => None,
    }
}

/// What a fault does instead of the next frame, behind what was sent before, and whether the answer goes on behind it.
fn strike(call: &Call, fault: &Fault, next: &Frame, before: &VecDeque<Act>) -> (Option<Act>, bool) {
    let error = |overload| {
        let sent: Vec<&Frame> = before.iter().filter_map(|act| if let Act::Send(frame) = act { Some(frame) } else { None }).collect();
        let first = sent.first().map(|frame| String::from_utf8_lossy(&frame.bytes)).unwrap_or_default();
        call.error_event(overload, sent.len(), &first)
    };
    let send = |bytes: Bytes| Some(Act::Send(Frame::head(bytes)));
    match fault {
        Fault::Stall(_) => (Some(Act::Stall), false),
        Fault::Cut(_) => (Some(Act::Break), false),
        Fault::Torn(_) => (Some(Act::Send(next.half())), false),
        Fault::Reset(_) => (Some(Act::Reset), false),
        Fault::ErrorEvent(_) => (send(error(false).into()), false),
        Fault::Overload(_) => (send(error(true).into()), false),
        Fault::BadSse(_) | Fault::BadJson => (send(Bytes::from_static(b"data: {\"id\": \xff\xfe]\n\nevent nothing of the kind\n\n")), false),
        Fault::Noise(_) => (send(Bytes::from_static(b"event: nonsense\ndata: {\"unfinished\": \n\nretry: soon\n\n")), true),
        Fault::Endless => (Some(Act::Repeat(Frame { text: String::new(), ..next.clone() })), false),
        Fault::Short(_) | Fault::Status(_) | Fault::HangUp | Fault::Html | Fault::Redirect | Fault::Empty | Fault::Absent => (None, false),
    }
}

fn framed(act: Act, framing: Framing) -> Vec<Act> {
    let Act::Send(frame) = act else { return vec![act] };
    match framing {
        Framing::Whole => vec![Act::Send(frame)],
        Framing::Split => split(&frame),
        Framing::Crlf => vec![Act::Send(Frame { bytes: String::from_utf8_lossy(&frame.bytes).replace("\r\n", "\n").replace('\n', "\r\n").into(), ..frame })],
        Framing::Comments => vec![Act::Send(Frame::head(": keep-alive\n\n")), Act::Send(frame)],
    }
}

/// Pieces of seven bytes; the last one carries what the whole frame says.
fn split(frame: &Frame) -> Vec<Act> {
    let pieces = frame.bytes.len().div_ceil(7);
    let piece = |at: usize| frame.bytes.slice(at * 7..frame.bytes.len().min(at * 7 + 7));
    let part = |at: usize| if at + 1 == pieces { Frame { bytes: piece(at), ..frame.clone() } } else { Frame::head(piece(at)) };
    (0..pieces).flat_map(|at| [Act::Pause(Duration::ZERO), Act::Send(part(at))]).collect()
}

/// The script of an answer that is not streamed.
pub(super) fn whole(call: &Call, content_type: &'static str, frame: Frame, switches: &Switches, pace: Pace) -> Script {
    let duration = Duration::from_millis(pace.first_byte_ms.saturating_add(pace.chunk_ms.saturating_mul(frame.tokens)));
    let mut before = opening(switches, duration);
    if switches.gate.is_some_and(|n| n > 0) {
        before.push(Act::Hold);
    }
    let half = Act::Send(frame.half());
    let acts: VecDeque<Act> = match &switches.fault {
        Some(Fault::Stall(Some(_))) => [half, Act::Stall].into(),
        Some(Fault::Cut(_)) => [half, Act::Break].into(),
        Some(Fault::Reset(_)) => [half, Act::Reset].into(),
        Some(Fault::Short(_) | Fault::Torn(_)) => [half].into(),
        Some(Fault::Endless) => [half, Act::Repeat(Frame::head(" and so on".repeat(800)))].into(),
        Some(Fault::ErrorEvent(_)) => [Act::Send(Frame::head(call.error(500, "", None).to_string()))].into(),
        Some(Fault::Overload(_)) => [Act::Send(Frame::head(call.error(503, "", None).to_string()))].into(),
        Some(Fault::BadJson | Fault::BadSse(_) | Fault::Noise(_)) => [Act::Send(Frame::head(&b"{\"id\": \xff\xfe, not JSON]"[..]))].into(),
        _ => return Script { before, content_type, length: Some(frame.bytes.len()), acts: [Act::Send(frame)].into() },
    };
    Script { before, content_type, length: None, acts }
}
