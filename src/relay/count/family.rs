//! Whose tokenizer a model has, and how far OpenAI's newest, which is at hand, may be off from it.
//!
//! The others' tokenizers are not public, or too large to carry along. Their texts are counted with OpenAI's and multiplied; the factor is chosen so that the result is
//! never under the truth for prose, code and Chinese, and so it is over it most of the time. It is only charged when an upstream does not report.

/// A family of models that count alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// OpenAI's, whose tokenizer is the real one.
    OpenAi,
    /// Anthropic's. The newest tokenizer makes up to a third more tokens than the one before it, which made up to a half more than OpenAI's of code.
    Claude,
    /// Google's. Each digit is a token.
    Gemini,
    /// Meta's, and others with its vocabulary.
    Llama,
    /// Alibaba's. Each digit is a token.
    Qwen,
    /// DeepSeek, Zhipu, Moonshot, MiniMax: vocabularies of 100,000 to 160,000 with much Chinese.
    Chinese,
    /// Mistral's, with smaller vocabularies.
    Mistral,
    /// Anybody else's.
    Other,
}

/// How names of models of a family begin, after the name of a provider and a slash.
const NAMES: &[(Family, &[&str])] = &[
    // The simulated upstream of the demo counts as OpenAI does.
    (
        Family::OpenAi,
        &[
            "gpt",
            "chatgpt",
            "o1",
            "o3",
            "o4",
            "codex",
            "text-embedding-3",
            "text-embedding-ada",
            "davinci",
            "babbage",
            "omni-moderation",
            "whisper",
            "tts",
            "demo-",
        ],
    ),
    (Family::Claude, &["claude", "anthropic."]),
    (Family::Gemini, &["gemini", "gemma", "learnlm", "text-embedding-00", "imagen", "veo"]),
    (Family::Llama, &["llama", "meta-llama", "codellama", "meta."]),
    (Family::Qwen, &["qwen", "qwq", "qvq", "tongyi"]),
    (Family::Chinese, &["deepseek", "glm", "chatglm", "kimi", "moonshot", "minimax", "abab", "ernie", "hunyuan", "doubao", "yi-", "baichuan"]),
    (Family::Mistral, &["mistral", "mixtral", "codestral", "ministral", "magistral", "devstral", "pixtral", "voxtral", "open-mi"]),
];

impl Family {
    /// By a model's name, with or without its provider's before it.
    pub fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
        let known = |(_, names): &&(Family, &[&str])| names.iter().any(|start| name.starts_with(start));
        // OpenAI's open models have its tokenizer, whoever serves them.
        NAMES.iter().find(known).map_or(Self::Other, |(family, _)| *family)
    }

    /// (the factor in hundredths that is never under the truth, the one that is nearest to it, whether each digit is a token)
    const fn measure(self) -> (u64, u64, bool) {
        match self {
            Family::OpenAi => (100, 100, false),
            Family::Claude => (170, 135, false),
            Family::Gemini => (130, 105, true),
            Family::Llama => (140, 110, false),
            Family::Qwen => (130, 105, true),
            Family::Chinese => (140, 110, false),
            Family::Mistral => (160, 125, true),
            Family::Other => (160, 120, true),
        }
    }

    /// What a text has at most when OpenAI's tokenizer makes so many tokens of it: what is charged.
    pub fn at_most(self, tokens: u64, text: &str) -> u64 {
        let (factor, _, splits_digits) = self.measure();
        scaled(tokens, factor).saturating_add(if splits_digits { digits(text) } else { 0 })
    }

    /// What it likely has: what somebody is told who asks how long a text is.
    pub fn likely(self, tokens: u64, text: &str) -> u64 {
        let (_, factor, splits_digits) = self.measure();
        scaled(tokens, factor).saturating_add(if splits_digits { digits(text) * 2 / 3 } else { 0 })
    }

    /// Tokens that a provider puts before a conversation with tools, as far as it says. Anthropic: <https://docs.anthropic.com/en/docs/agents-and-tools/tool-use>.
    pub const fn tool_preamble(self) -> u64 {
        match self {
            Family::Claude => 804,
            Family::OpenAi => 0,
            _ => 200,
        }
    }
}

fn scaled(tokens: u64, hundredths: u64) -> u64 {
    tokens.saturating_mul(hundredths).div_ceil(100)
}

fn digits(text: &str) -> u64 {
    text.bytes().filter(u8::is_ascii_digit).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_family() {
        for (name, family) in [
            ("gpt-4o", Family::OpenAi),
            ("openai/gpt-oss-120b", Family::OpenAi),
            ("o3-mini", Family::OpenAi),
            ("claude-sonnet-4-5", Family::Claude),
            ("anthropic/claude-opus-4.6", Family::Claude),
            ("models/gemini-2.5-pro", Family::Gemini),
            ("meta-llama/Llama-3.3-70B-Instruct", Family::Llama),
            ("Qwen/Qwen3-235B", Family::Qwen),
            ("deepseek-chat", Family::Chinese),
            ("kimi-k2", Family::Chinese),
            ("codestral-latest", Family::Mistral),
            ("grok-4", Family::Other),
            ("house-blend", Family::Other),
        ] {
            assert_eq!(Family::of(name), family, "{name}");
        }
    }

    #[test]
    fn the_safe_count_is_never_below_the_likely_one() {
        use Family::*;
        for family in [OpenAi, Claude, Gemini, Llama, Qwen, Chinese, Mistral, Other] {
            for (tokens, text) in [(0, ""), (1, "7"), (3, "123456789"), (1000, "words")] {
                assert!(family.at_most(tokens, text) >= family.likely(tokens, text) && family.likely(tokens, text) >= tokens);
            }
        }
        assert_eq!((Family::Qwen.at_most(3, "123456789"), Family::Claude.at_most(3, "123456789")), (13, 6));
    }
}
