//! What the upstream says: sentences that fit any question, picked by a hash of the prompt, in English or in Chinese.

use super::tokens::{Piece, cut, pieces, total};

const ENGLISH: &[&str] = &[
    " The short version is that it depends on what you want to keep simple.",
    " Start with the smallest thing that could work, and measure it before you change anything.",
    " Most people find that two or three rules cover nearly every case they meet.",
    " A good first step is to write down what you expect and then look at what really happens.",
    " There are exceptions, but they are rare enough to handle one by one.",
    " If the numbers disagree with the plan, trust the numbers.",
    " It helps to separate what changes often from what hardly ever changes.",
    " You can try this on a small example in a few minutes.",
    " The cost grows with the length of the text, so ask for no more than you need.",
    " Once that is in place, the rest follows without much effort.",
    " A common mistake is to decide too early and to look back too late.",
    " Keep a note of every choice, since you will want to know the reason later.",
    " When two options look equal, take the one that is easier to undo.",
    " That is usually enough for a first version, and it leaves room to grow.",
];

const CHINESE: &[&str] = &[
    "简单来说，这取决于你最想保持简单的是什么。",
    "先从最小可行的做法开始，测量之后再改动。",
    "大多数情况下，两三条规则就够用了。",
    "最好先写下预期，再看看实际发生了什么。",
    "例外确实存在，但可以逐个处理。",
    "如果数字和计划不一致，请相信数字。",
    "把经常变化的部分和很少变化的部分分开会很有帮助。",
    "你可以用一个小例子在几分钟内试一试。",
    "费用随文本长度增长，所以只要求你需要的内容。",
    "两个方案差不多时，选择更容易撤销的那个。",
];

/// A stream of choices that a text determines.
pub(super) struct Dice(u64);

impl Dice {
    /// The dice of a text and a number: FNV-1a, which is plenty for picking sentences.
    pub fn of(text: &str, number: u64) -> Self {
        let hash = |h: u64, byte: &u8| (h ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Self(text.as_bytes().iter().chain(&number.to_le_bytes()).fold(0xcbf2_9ce4_8422_2325, hash))
    }

    /// The next 64 bits (SplitMix64).
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound as u64) as usize
    }
}

/// A name of the usual look: `prefix` and 24 letters and digits.
pub(super) fn name(prefix: &str, text: &str, number: u64) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut dice = Dice::of(text, number);
    let tail: String = (0..24).map(|_| LETTERS[dice.below(LETTERS.len())] as char).collect();
    format!("{prefix}{tail}")
}

/// What only the provider can read and check: a signature under a text, or the text encrypted. The text decides it.
pub(super) fn seal(text: &str) -> String {
    let mut dice = Dice::of(text, 0x7365_616c);
    let bytes: Vec<u8> = (0..9).flat_map(|_| dice.roll().to_be_bytes()).collect();
    format!("{SEAL}{}", data_encoding::BASE64.encode(&bytes))
}

/// What every seal begins with.
pub(super) const SEAL: &str = "ErUB";

/// An answer to `question`, of `length` tokens when given, else of a length that the question determines.
pub(super) fn speech(question: &str, variant: u64, length: Option<u64>) -> Vec<Piece> {
    let mut dice = Dice::of(question, variant);
    let chinese = question.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
    let sentences = if chinese { CHINESE } else { ENGLISH };
    let wanted = length.unwrap_or_else(|| 40 + dice.below(60) as u64);
    let mut out = pieces(&opening(question, chinese));
    let (mut said, mut last) = (total(&out), usize::MAX);
    while said < wanted {
        let mut pick = dice.below(sentences.len());
        if pick == last {
            pick = (pick + 1) % sentences.len();
        }
        last = pick;
        let sentence = pieces(sentences[pick]);
        said += total(&sentence);
        out.extend(sentence);
    }
    if length.is_some() {
        cut(&mut out, wanted);
    }
    out
}

/// What goes through the model's head before it answers: exactly so many tokens.
pub(super) fn thoughts(question: &str, variant: u64, length: u64) -> Vec<Piece> {
    let mut dice = Dice::of(question, variant ^ 0x7468_6f75_6768_7473);
    let mut out = if length > 0 { pieces("Let me think.") } else { Vec::new() };
    while total(&out) < length {
        out.extend(pieces(ENGLISH[dice.below(ENGLISH.len())]));
    }
    cut(&mut out, length);
    out
}

fn opening(question: &str, chinese: bool) -> String {
    if chinese {
        let topic: String = question.chars().filter(|c| !c.is_whitespace()).take(16).collect();
        return format!("你问的是“{topic}”。");
    }
    let topic = question.split_whitespace().take(8).collect::<Vec<_>>().join(" ");
    let topic: String = topic.chars().take(80).collect();
    if topic.is_empty() { "Here is a thought.".to_owned() } else { format!("You asked: “{topic}”.") }
}
