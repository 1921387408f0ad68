"""Chat Completions through OpenAI's SDK, to a channel of every kind: what the provider says arrives, and is charged once."""

import json

import openai
import pytest

from common import CALLS, ERRAND, MODELS, PARAMETERS, PDF, PICTURE_TOKENS, QUESTION, RESULTS, THOUGHT_TOKENS, Trip, every_kind, packed, png

TOOLS = [{"type": "function", "function": {"name": name, "description": name, "parameters": schema}} for name, schema in PARAMETERS.items()]


def user(*content):
    return {"role": "user", "content": content[0] if isinstance(content[0], str) else list(content)}


def picture(data):
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{packed(data)}"}}


def same_usage(usage, row):
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    told = row["usage"]
    assert (usage.prompt_tokens, usage.completion_tokens) == (told["input_tokens"] + told["cached_input_tokens"] + told["cache_write_tokens"], told["output_tokens"])
    return True


@every_kind
def test_words(oai, shop, bill, kind):
    messages = [{"role": "system", "content": "Be brief."}, user("Hello"), {"role": "assistant", "content": "Hello!"}, user(QUESTION)]
    answer = oai.chat.completions.create(model=MODELS[kind], messages=messages)
    assert answer.choices[0].message.content == shop.said(QUESTION)
    assert answer.choices[0].finish_reason == "stop" and answer.choices[0].message.role == "assistant"
    assert answer.model == MODELS[kind] and answer.object == "chat.completion"
    assert same_usage(answer.usage, bill.last())


@every_kind
def test_a_stream(oai, shop, bill, kind):
    whole = oai.chat.completions.create(model=MODELS[kind], messages=[user(QUESTION)])
    cost = bill.last()["cost"]
    chunks = list(oai.chat.completions.create(model=MODELS[kind], messages=[user(QUESTION)], stream=True, stream_options={"include_usage": True}))
    # Azure opens with a chunk about its filters, which has no choices.
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == shop.said(QUESTION)
    assert choices[0].delta.role == "assistant" and [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    assert len(choices) > 10, "it comes in pieces"
    assert chunks[-1].choices == [] and chunks[-1].usage.model_dump() == whole.usage.model_dump()
    assert all(chunk.usage is None for chunk in chunks[:-1])
    assert bill.last()["cost"] == cost, "a stream costs what the same answer at once costs"
    quiet = list(oai.chat.completions.create(model=MODELS[kind], messages=[user(QUESTION)], stream=True))
    assert all(chunk.usage is None for chunk in quiet)
    assert bill.last()["cost"] == cost, "and one whose usage is not shown as well"


@every_kind
def test_the_streaming_helper(oai, shop, kind):
    with oai.chat.completions.stream(model=MODELS[kind], messages=[user(QUESTION)]) as stream:
        text = "".join(event.delta for event in stream if event.type == "content.delta")
        final = stream.get_final_completion()
    assert text == final.choices[0].message.content == shop.said(QUESTION)


def answered(oai, kind, message):
    """Sends the calls of a message back with their results; returns the answer to them."""
    calls = message.tool_calls
    assert [(call.function.name, json.loads(call.function.arguments)) for call in calls] == CALLS
    assert len({call.id for call in calls}) == 2
    results = [{"role": "tool", "tool_call_id": call.id, "content": RESULTS[call.function.name]} for call in calls]
    said = message.model_dump(exclude_none=True, exclude={"parsed", "annotations", "refusal"})
    for call in said["tool_calls"]:
        call.get("function", {}).pop("parsed_arguments", None)
        call.pop("index", None)
    return oai.chat.completions.create(model=MODELS[kind], messages=[user(ERRAND), said, *results], tools=TOOLS).choices[0]


@every_kind
def test_tools_in_parallel_and_their_results(oai, kind):
    choice = oai.chat.completions.create(model=MODELS[kind], messages=[user(ERRAND)], tools=TOOLS).choices[0]
    assert choice.finish_reason == "tool_calls"
    last = answered(oai, kind, choice.message)
    assert last.finish_reason == "stop" and last.message.content and not last.message.tool_calls


@every_kind
def test_tools_in_a_stream(oai, kind):
    with oai.chat.completions.stream(model=MODELS[kind], messages=[user(ERRAND)], tools=TOOLS, parallel_tool_calls=True) as stream:
        final = stream.get_final_completion().choices[0]
    assert final.finish_reason == "tool_calls"
    assert answered(oai, kind, final.message).finish_reason == "stop"


@every_kind
@pytest.mark.parametrize(
    "choice, calls", [("none", []), ("required", ["get_weather"]), ({"type": "function", "function": {"name": "get_time"}}, ["get_time"])], ids=["none", "required", "named"]
)
def test_the_choice_of_a_tool(oai, kind, choice, calls):
    message = oai.chat.completions.create(model=MODELS[kind], messages=[user(QUESTION)], tools=TOOLS, tool_choice=choice).choices[0].message
    assert [call.function.name for call in message.tool_calls or []] == calls
    assert bool(message.content) == (not calls)


@every_kind
def test_structured_output(oai, shop, kind):
    answer = oai.chat.completions.parse(model=MODELS[kind], messages=[user("A trip to Kyoto")], response_format=Trip).choices[0].message
    assert answer.parsed == Trip.model_validate_json(shop.said("A trip to Kyoto", response_format=openai.lib._parsing.type_to_response_format_param(Trip)))
    assert answer.parsed.city == "Kyoto"


@every_kind
def test_pictures_go_in(oai, shop, kind):
    plain = oai.chat.completions.create(model=MODELS[kind], messages=[user(QUESTION)])
    seen = oai.chat.completions.create(model=MODELS[kind], messages=[user({"type": "text", "text": QUESTION}, picture(png()))])
    assert seen.choices[0].message.content == shop.said(QUESTION)
    assert seen.usage.prompt_tokens == plain.usage.prompt_tokens + PICTURE_TOKENS


@every_kind
def test_a_document_goes_in(oai, shop, kind):
    file = {"type": "file", "file": {"filename": "report.pdf", "file_data": f"data:application/pdf;base64,{packed(PDF)}"}}
    answer = oai.chat.completions.create(model=MODELS[kind], messages=[user({"type": "text", "text": QUESTION}, file)])
    assert answer.choices[0].message.content == shop.said(QUESTION)
    assert answer.usage.prompt_tokens > 250


@every_kind
def test_reasoning_is_thought_and_told(oai, shop, kind):
    answer = oai.chat.completions.create(model=MODELS[kind], messages=[user(QUESTION)], reasoning_effort="high")
    plain = oai.chat.completions.create(model=MODELS[kind], messages=[user(QUESTION)])
    assert answer.choices[0].message.content == shop.said(QUESTION)
    assert answer.usage.completion_tokens == plain.usage.completion_tokens + THOUGHT_TOKENS
    assert answer.usage.completion_tokens_details.reasoning_tokens == THOUGHT_TOKENS


@every_kind
def test_an_answer_ends_where_it_is_told_to(oai, shop, kind):
    full = shop.said(QUESTION)
    cut = oai.chat.completions.create(model=MODELS[kind], messages=[user(QUESTION)], max_completion_tokens=20)
    assert (cut.choices[0].finish_reason, cut.usage.completion_tokens) == ("length", 20)
    assert full.startswith(cut.choices[0].message.content)
    if kind != "responses":  # Responses has no stop sequences
        word = full.split()[8]
        stopped = oai.chat.completions.create(model=MODELS[kind], messages=[user(QUESTION)], stop=[word, "never said"]).choices[0]
        assert stopped.finish_reason == "stop" and stopped.message.content == full[: full.index(word)]


@every_kind
def test_cached_input_is_told_and_cheaper(oai, bill, kind):
    def ask(directive):
        answer = oai.chat.completions.create(model=MODELS[kind], messages=[user(f"{QUESTION} [[{directive}]]")])
        return answer.usage, bill.last()

    fresh, full = ask("tokens=4, cached=0")
    cached, less = ask("tokens=4, cached=6")
    assert (fresh.prompt_tokens_details.cached_tokens, cached.prompt_tokens_details.cached_tokens) == (0, 6)
    assert less["usage"]["cached_input_tokens"] == 6 and less["cost"] < full["cost"]


@every_kind
def test_a_refusal_is_one(oai, kind):
    choice = oai.chat.completions.create(model=MODELS[kind], messages=[user("Hello [[refuse]]")]).choices[0]
    said = choice.message.refusal or choice.message.content
    assert said == "I'm sorry, but I can't help with that request."


@pytest.mark.parametrize("kind", ["openai", "azure"])
def test_several_choices(oai, kind):
    answer = oai.chat.completions.create(model=MODELS[kind], messages=[user(f"{QUESTION} [[tokens=12]]")], n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2] and answer.usage.completion_tokens == 36


@every_kind
def test_hints_are_taken(oai, kind):
    answer = oai.chat.completions.create(model=MODELS[kind], messages=[user(QUESTION)], seed=7, temperature=1.5, top_p=0.9, frequency_penalty=0.5, user="ann", prompt_cache_key="k", store=False)
    assert answer.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("kind", ["openai", "azure"])
def test_legacy_completions(lenient, shop, kind):
    answer = lenient.completions.create(model=MODELS[kind], prompt=QUESTION, max_tokens=200)
    assert answer.choices[0].text.strip() == shop.said(QUESTION)
    chunks = list(lenient.completions.create(model=MODELS[kind], prompt=QUESTION, max_tokens=200, stream=True, stream_options={"include_usage": True}))
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices).strip() == shop.said(QUESTION)
    assert chunks[-1].usage == answer.usage
