"""What a provider's dialect has no words for is a 400 that names the field in the caller's own dialect, at once and free."""

import anthropic
import openai
import pytest
from google.genai import errors, types

from common import MODELS, QUESTION, packed, wav
from shop import spent

USER = [{"role": "user", "content": QUESTION}]
SOUND = [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": packed(wav(1)), "format": "wav"}}]}]

CHAT = [
    ("anthropic", {"n": 2}, "n"),
    ("gemini", {"n": 2}, "n"),
    ("anthropic", {"logprobs": True}, "logprobs"),
    ("gemini", {"logprobs": True, "top_logprobs": 2}, "logprobs"),
    ("anthropic", {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}, "modalities"),
    ("anthropic", {"messages": SOUND}, "messages[0].content[0]"),
    ("anthropic", {"store": True}, "store"),
    ("gemini", {"web_search_options": {}}, "web_search_options"),
    ("gemini", {"logit_bias": {"50256": -100}}, "logit_bias"),
    ("anthropic", {"prediction": {"type": "content", "content": "x"}}, "prediction"),
    ("responses", {"n": 2}, "n"),
    ("responses", {"stop": ["\n"]}, "stop"),
    ("responses", {"logit_bias": {"50256": -100}}, "logit_bias"),
    ("anthropic", {"messages": [{"role": "system", "content": "Be brief."}] + SOUND}, "messages[1].content[0]"),
]
RESPONSES = [
    (kind, {field: value}, field)
    for kind in ("openai", "anthropic", "gemini")
    for field, value in [("previous_response_id", "resp_1"), ("conversation", "conv_1"), ("background", True), ("store", True), ("truncation", "auto")]
] + [
    ("openai", {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]}, "tools"),
    ("gemini", {"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0].type"),
    ("anthropic", {"top_logprobs": 3}, "top_logprobs"),
    ("anthropic", {"tools": [{"type": "function", "name": "f", "parameters": {}, "strict": False}, {"type": "web_search"}]}, "tools[1].type"),
    ("gemini", {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file_1"}]}]}, "input[0].content[0]"),
]
MESSAGES = [
    (kind, more, field)
    for kind in ("openai", "responses", "gemini", "azure")
    for more, field in [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools[0].type"),
        ({"container": "container_1"}, "container"),
        ({"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}, "context_management.edits[0].type"),
        ({"mcp_servers": [{"type": "url", "name": "m", "url": "https://mcp.example"}]}, "mcp_servers"),
    ]
]
GEMINI = [
    (kind, more, field)
    for kind in ("openai", "responses", "anthropic", "azure")
    for more, field in [
        ({"cached_content": "cachedContents/1"}, "cachedContent"),
        ({"candidate_count": 2}, "candidateCount"),
        ({"response_modalities": ["AUDIO"]}, "responseModalities"),
        ({"tools": [types.Tool(google_search=types.GoogleSearch())]}, "tools[0]"),
        ({"response_logprobs": True}, "responseLogprobs"),
        ({"safety_settings": [types.SafetySetting(category="HARM_CATEGORY_HARASSMENT", threshold="BLOCK_LOW_AND_ABOVE")]}, "safetySettings[0].threshold"),
    ]
]


def named(cases):
    return pytest.mark.parametrize("kind, more, field", cases, ids=[f"{kind}-{field}" for kind, _, field in cases])


@pytest.fixture(autouse=True)
def free(shop):
    before = spent(shop)
    yield
    assert spent(shop) == before


@named(CHAT)
def test_chat(client, kind, more, field):
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(**{"model": MODELS[kind], "messages": USER, "stream": stream} | more)
        assert caught.value.param.startswith(field) and field in caught.value.message
        assert (caught.value.code, caught.value.type) == ("unsupported_parameter", "invalid_request_error")


@named(RESPONSES)
def test_responses(client, kind, more, field):
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError) as caught:
            client.responses.create(**{"model": MODELS[kind], "input": QUESTION, "stream": stream} | more)
        assert caught.value.param.startswith(field)


@named(MESSAGES)
def test_messages(shop, kind, more, field):
    with anthropic.Anthropic(base_url=shop.url, api_key=shop.key, max_retries=0) as client:
        for stream in (False, True):
            with pytest.raises(anthropic.BadRequestError) as caught:
                client.messages.create(model=MODELS[kind], max_tokens=100, messages=USER, stream=stream, extra_body=more)
            assert field in caught.value.body["error"]["message"]


@named(GEMINI)
def test_gemini(gem, kind, more, field):
    with pytest.raises(errors.ClientError) as caught:
        gem.models.generate_content(model=MODELS[kind], contents=QUESTION, config=types.GenerateContentConfig(**more))
    assert (caught.value.code, caught.value.status) == (400, "INVALID_ARGUMENT") and field in caught.value.message
