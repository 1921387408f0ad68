"""Chat completions through the official SDK: at once, streamed, many at a time, with tools; each charged to the nano-dollar."""

import asyncio
import json
from decimal import Decimal

import openai

from shop import spent, wait_for

MODEL = "demo-chat"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def ask(text):
    return {"model": MODEL, "messages": [{"role": "user", "content": text}]}


def priced(client, text):
    """An answer at once: its usage and what the shop says that it cost."""
    raw = client.chat.completions.with_raw_response.create(**ask(text))
    return raw.parse().usage, Decimal(raw.headers["x-farebox-cost-usd"])


def token_prices(client):
    """Dollars for one token in and out, solved from two answers of different lengths."""
    short, cheap = priced(client, "Say something [[tokens=10]]")
    long, dear = priced(client, "Say something [[tokens=60]]")
    assert (short.completion_tokens, long.completion_tokens) == (10, 60)
    assert short.prompt_tokens == long.prompt_tokens
    output = (dear - cheap) / 50
    return (cheap - 10 * output) / short.prompt_tokens, output


def test_an_answer_is_charged_what_its_header_says(shop, client):
    before = spent(shop)
    raw = client.chat.completions.with_raw_response.create(**ask("How do ships float?"))
    answer = raw.parse()
    assert answer.choices[0].message.role == "assistant"
    assert "How do ships float?" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert raw.headers["x-request-id"] and answer._request_id == raw.headers["x-request-id"]
    cost = Decimal(raw.headers["x-farebox-cost-usd"])
    assert cost > 0
    assert spent(shop) - before == cost


def test_request_ids_are_never_the_same(client):
    ids = {client.chat.completions.create(**ask("Hi [[tokens=2]]"))._request_id for _ in range(5)}
    assert len(ids) == 5 and None not in ids


def test_a_stream_with_usage(shop, client):
    whole, cost = priced(client, "Why is the sky blue? [[tokens=30]]")
    before = spent(shop)
    chunks = list(client.chat.completions.create(**ask("Why is the sky blue? [[tokens=30]]"), stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].choices == [] and chunks[-1].usage == whole
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert spent(shop) - before == cost, "a stream costs what the same answer at once costs, and is charged when it has ended"


def test_a_stream_without_usage_shows_none_and_is_charged_all_the_same(shop, client):
    _, cost = priced(client, "Why is the sea salty? [[tokens=30]]")
    before = spent(shop)
    chunks = list(client.chat.completions.create(**ask("Why is the sea salty? [[tokens=30]]"), stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert spent(shop) - before == cost


def test_the_streaming_helper_puts_the_answer_together(client):
    whole = client.chat.completions.create(**ask("Name three rivers"))
    with client.chat.completions.stream(**ask("Name three rivers")) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.content == whole.choices[0].message.content


def test_the_output_cap_reaches_the_model(client):
    answer = client.chat.completions.create(**ask("Tell me everything"), max_completion_tokens=7)
    assert (answer.usage.completion_tokens, answer.choices[0].finish_reason) == (7, "length")
    answer = client.chat.completions.create(**ask("Tell me everything"), max_tokens=6, n=2)
    assert (answer.usage.completion_tokens, len(answer.choices)) == (12, 2)


def test_a_tool_is_called_and_its_result_is_answered(client):
    question = ask("What is the weather in Kyoto?")
    call = client.chat.completions.create(**question, tools=[WEATHER]).choices[0]
    assert call.finish_reason == "tool_calls"
    assert call.message.tool_calls[0].function.name == "get_weather"
    assert json.loads(call.message.tool_calls[0].function.arguments) == {"city": "Kyoto"}
    result = {"role": "tool", "tool_call_id": call.message.tool_calls[0].id, "content": "rain"}
    question["messages"] += [call.message, result]
    assert client.chat.completions.create(**question, tools=[WEATHER]).choices[0].finish_reason == "stop"


def test_a_tool_call_is_streamed_in_parts(client):
    name, arguments = None, ""
    for chunk in client.chat.completions.create(**ask("What is the weather in Kyoto?"), tools=[WEATHER], stream=True):
        for call in chunk.choices[0].delta.tool_calls or []:
            name = name or call.function.name
            arguments += call.function.arguments
    assert name == "get_weather" and json.loads(arguments) == {"city": "Kyoto"}


def test_cached_tokens_are_passed_on(client):
    text = "A prompt of which a part was in the cache of the provider [[cached=5, tokens=4]]"
    assert client.chat.completions.create(**ask(text)).usage.prompt_tokens_details.cached_tokens == 5


def test_twenty_streams_at_once_are_each_charged(shop, client):
    _, cost = priced(client, "Count with me [[tokens=25]]")
    before = spent(shop)

    async def one(client):
        stream = await client.chat.completions.create(**ask("Count with me [[tokens=25]]"), stream=True)
        return [chunk async for chunk in stream]

    async def all_at_once():
        async with openai.AsyncOpenAI(base_url=f"{shop.url}/v1", api_key=shop.key, max_retries=0) as client:
            return await asyncio.gather(*[one(client) for _ in range(20)])

    streams = asyncio.run(all_at_once())
    assert all(chunks[-1].choices[0].finish_reason == "stop" for chunks in streams)
    assert spent(shop) - before == 20 * cost


def test_a_client_that_goes_away_pays_for_what_it_got(shop, client):
    price_in, price_out = token_prices(client)
    before = spent(shop)
    # At this pace the whole answer would take more than ten seconds.
    stream = client.chat.completions.create(**ask("Tell me a very long story [[tokens=600, slow=18]]"), stream=True)
    read = 0
    for chunk in stream:
        read += bool(chunk.choices and chunk.choices[0].delta.content)
        if read == 10:
            break
    stream.close()
    charged = wait_for(lambda: spent(shop) - before, "a stream whose client went away is settled")
    assert charged >= 5 * price_in + 10 * price_out
    assert charged < 300 * price_out, "not the whole answer is charged, of which the client saw ten tokens"
    _, cost = priced(client, "Is it over? [[tokens=3]]")
    assert spent(shop) - before == charged + cost, "and it is charged once"


def test_unicode_arrives_whole(client):
    text = "汉字 ünïcödé 👩‍👩‍👧‍👦"
    chunks = client.chat.completions.create(**ask(f"{text} [[echo, split]]"), stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == text
