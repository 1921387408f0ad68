//! The tool calls of a Chat stream while they grow. Servers differ: whole calls in one chunk, names that come late, ids that repeat or miss, one index for all.

use super::made_up_id;
use crate::relay::dialect::canonical::{Broken, Delta, Event, Opening, Signature};

/// More calls than any answer makes.
const MAX_CALLS: usize = 512;
/// The most bytes of arguments that are kept for a name to come.
const MAX_KEPT: usize = 1024 * 1024;

/// A piece of a call as it came.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub(super) index: Option<u64>,
    pub(super) id: String,
    pub(super) name: String,
    pub(super) arguments: String,
    pub(super) custom: bool,
    pub(super) signature: Option<Signature>,
}

#[derive(Debug)]
struct Call {
    /// The upstream's number of it.
    upstream: Option<u64>,
    /// As it came, perhaps empty.
    id: String,
    custom: bool,
    signature: Option<Signature>,
    /// Our number of it, once it has a name.
    part: Option<usize>,
    kept: String,
    json: Json,
    is_closed: bool,
}

/// Follows a JSON object to its end without keeping it.
#[derive(Clone, Copy, Debug, Default)]
struct Json {
    depth: u32,
    in_string: bool,
    escaped: bool,
    has_ended: bool,
}

impl Json {
    fn follow(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth = self.depth.saturating_add(1),
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.has_ended = self.depth == 0;
                }
                _ => {}
            }
        }
    }
}

/// All calls of an answer.
#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: Vec<Call>,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The call that a piece belongs to; a new one where nothing fits.
    fn find(&mut self, piece: &Piece) -> Result<usize, Broken> {
        let same_number = |call: &Call| piece.index.is_none() || call.upstream == piece.index;
        // The same number with another id and a name of its own is another call: some servers number all of them 0.
        let is_other = |call: &Call| !piece.id.is_empty() && !call.id.is_empty() && call.id != piece.id && !piece.name.is_empty();
        // Without number and id, a name begins a call.
        let begins = piece.index.is_none() && piece.id.is_empty() && !piece.name.is_empty() && self.calls.last().is_some_and(|call| call.part.is_some());
        match self.calls.iter().rposition(same_number).filter(|at| !begins && !is_other(&self.calls[*at])) {
            Some(at) => Ok(at),
            None if self.calls.len() == MAX_CALLS => Err(Broken::Garbage(format!("more than {MAX_CALLS} tool calls"))),
            None => {
                let call = Call {
                    upstream: piece.index,
                    id: String::new(),
                    custom: piece.custom,
                    signature: None,
                    part: None,
                    kept: String::new(),
                    json: Json::default(),
                    is_closed: false,
                };
                self.calls.push(call);
                Ok(self.calls.len() - 1)
            }
        }
    }

    /// Takes a piece in. `next` is the number of the next part.
    pub(super) fn push(&mut self, mut piece: Piece, answer: Option<&str>, next: &mut usize, out: &mut Vec<Event>) -> Result<(), Broken> {
        let before = self.calls.len();
        let at = self.find(&piece)?;
        if self.calls.len() > before {
            self.close_complete(out);
        }
        let call = &mut self.calls[at];
        if call.id.is_empty() {
            call.id = std::mem::take(&mut piece.id);
        }
        call.signature = call.signature.take().or(piece.signature);
        if call.part.is_none() && !piece.name.is_empty() {
            if call.id.is_empty() {
                call.id = made_up_id(answer, at);
            }
            let index = *next;
            *next += 1;
            call.part = Some(index);
            let part = Opening::ToolCall { id: call.id.clone(), name: piece.name, custom: call.custom, signature: call.signature.take() };
            out.push(Event::Open { index, part });
            piece.arguments.insert_str(0, &std::mem::take(&mut call.kept));
        }
        let Some(index) = call.part else {
            call.kept.push_str(&piece.arguments);
            return if call.kept.len() > MAX_KEPT { Err(Broken::Garbage("a tool call without a name".to_owned())) } else { Ok(()) };
        };
        if piece.arguments.is_empty() {
            return Ok(());
        }
        if call.is_closed {
            let is_blank = piece.arguments.trim().is_empty();
            return if is_blank { Ok(()) } else { Err(Broken::Garbage("a tool call goes on after its end".to_owned())) };
        }
        call.json.follow(&piece.arguments);
        out.push(Event::Grow { index, delta: Delta::Arguments(piece.arguments) });
        Ok(())
    }

    /// Closes the calls whose arguments are whole, so that what comes next need not wait for them.
    pub(super) fn close_complete(&mut self, out: &mut Vec<Event>) {
        self.close(out, |call| call.json.has_ended && !call.custom);
    }

    fn close(&mut self, out: &mut Vec<Event>, is_due: impl Fn(&Call) -> bool) {
        for call in self.calls.iter_mut().filter(|call| !call.is_closed && is_due(call)) {
            if let Some(index) = call.part {
                call.is_closed = true;
                out.push(Event::Close { index });
            }
        }
    }

    /// Closes all.
    pub(super) fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Broken> {
        if self.calls.iter().any(|call| call.part.is_none() && !(call.id.is_empty() && call.kept.is_empty())) {
            return Err(Broken::Garbage("a tool call without a name".to_owned()));
        }
        self.close(out, |_| true);
        Ok(())
    }
}
