"""A stream that breaks on the way is an exception of the SDK's own, whatever lies between, and what had arrived is paid once."""

import anthropic
import openai
import pytest
from google import genai
from google.genai import errors, types

from common import MODELS, every_kind
from shop import spent

# The connection breaks; the provider says that it cannot go on.
WAYS = pytest.mark.parametrize("way", ["cut=5", "overload=5"])


def ask_chat(shop, model, question):
    with openai.OpenAI(base_url=f"{shop.url}/v1", api_key=shop.key, max_retries=0) as client:
        for chunk in client.chat.completions.create(model=model, messages=[{"role": "user", "content": question}], stream=True):
            yield "".join(choice.delta.content or "" for choice in chunk.choices)


def ask_responses(shop, model, question):
    with openai.OpenAI(base_url=f"{shop.url}/v1", api_key=shop.key, max_retries=0) as client:
        for event in client.responses.create(model=model, input=question, stream=True):
            if event.type == "response.output_text.delta":
                yield event.delta
            if event.type == "error":  # the SDK leaves it to its user
                raise openai.APIError(event.message, None, body=None)


def ask_messages(shop, model, question):
    with anthropic.Anthropic(base_url=shop.url, api_key=shop.key, max_retries=0) as client:
        with client.messages.stream(model=model, max_tokens=1024, messages=[{"role": "user", "content": question}]) as stream:
            yield from stream.text_stream


def ask_gemini(shop, model, question):
    with genai.Client(api_key=shop.key, http_options=types.HttpOptions(base_url=shop.url)) as client:
        for piece in client.models.generate_content_stream(model=model, contents=question):
            yield piece.text or ""


SDKS = {
    "chat": (ask_chat, openai.APIError),
    "responses": (ask_responses, openai.APIError),
    "messages": (ask_messages, anthropic.APIError),
    "gemini": (ask_gemini, errors.APIError),
}


@WAYS
@every_kind
@pytest.mark.parametrize("sdk", SDKS)
def test_a_stream_that_breaks_raises_and_costs_what_arrived(shop, sdk, kind, way):
    ask, expected = SDKS[sdk]
    before = spent(shop)
    # Both questions are equally long.
    whole = "".join(ask(shop, MODELS[kind], f"Hello [[tokens=100, {'x' * len(way)}]]"))
    cost = spent(shop) - before
    text = ""
    with pytest.raises(expected):
        for piece in ask(shop, MODELS[kind], f"Hello [[tokens=100, {way}]]"):
            text += piece
    assert text and whole.startswith(text)
    assert 0 < spent(shop) - before - cost < cost
