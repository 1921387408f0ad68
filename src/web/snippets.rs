//! A first call to copy, with the shop's own address.

/// A piece of code in one language.
#[derive(Clone, Debug)]
pub struct Snippet {
    /// Names the panel in the page.
    pub id: &'static str,
    /// What its tab says.
    pub name: &'static str,
    /// The code.
    pub code: String,
}

/// The same call with curl, Python and Node.
pub fn quick_start(base_url: &str, model: &str, key: &str) -> Vec<Snippet> {
    // A model's name is chosen by an admin: quotes in it must not break the code that a customer pastes.
    let model = model.replace(['"', '\'', '\\'], "");
    vec![
        Snippet { id: "curl", name: "curl", code: curl(base_url, &model, key) },
        Snippet { id: "python", name: "Python", code: python(base_url, &model, key) },
        Snippet { id: "node", name: "Node.js", code: node(base_url, &model, key) },
    ]
}

fn curl(base_url: &str, model: &str, key: &str) -> String {
    format!(
        r#"curl {base_url}/v1/chat/completions \
  -H "Authorization: Bearer {key}" \
  -H "Content-Type: application/json" \
  -d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}]}}'"#
    )
}

fn python(base_url: &str, model: &str, key: &str) -> String {
    format!(
        r#"# pip install openai
from openai import OpenAI

client = OpenAI(base_url="{base_url}/v1", api_key="{key}")
answer = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "Hello"}}],
)
print(answer.choices[0].message.content)"#
    )
}

fn node(base_url: &str, model: &str, key: &str) -> String {
    format!(
        r#"// npm install openai
import OpenAI from "openai";

const client = new OpenAI({{ baseURL: "{base_url}/v1", apiKey: "{key}" }});
const answer = await client.chat.completions.create({{
  model: "{model}",
  messages: [{{ role: "user", content: "Hello" }}],
}});
console.log(answer.choices[0].message.content);"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carry_the_shops_own_address() {
        for snippet in quick_start("https://shop.example", "small'; rm -rf /\"", "sk-x") {
            assert!(snippet.code.contains("https://shop.example/v1") && snippet.code.contains("sk-x"), "{}", snippet.code);
            assert!(snippet.code.contains("small; rm -rf /") && !snippet.code.contains("small'"), "{}", snippet.code);
        }
    }
}
