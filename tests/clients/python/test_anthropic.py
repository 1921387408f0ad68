"""Messages through Anthropic's SDK, to a channel of every kind."""

import anthropic
import pytest

from common import CALLS, ERRAND, MODELS, PARAMETERS, PDF, PICTURE_TOKENS, QUESTION, RESULTS, Trip, every_kind, packed, png
from shop import Visitor

TOOLS = [{"name": name, "description": name, "input_schema": schema} for name, schema in PARAMETERS.items()]
THINKING = {"type": "enabled", "budget_tokens": 1024}
SHOW_THOUGHTS = ("responses", "anthropic", "gemini")
SYSTEM = [
    {"type": "text", "text": "You are brief."},
    {"type": "text", "text": "And you are friendly. " * 20, "cache_control": {"type": "ephemeral"}},
]


def asked(kind, *messages, **more):
    history = [{"role": "user", "content": message} if isinstance(message, str) else message for message in messages]
    return {"model": MODELS[kind], "max_tokens": 2048, "messages": history, **more}


def types_of(message):
    return [block.type for block in message.content]


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def same_usage(usage, row):
    told = row["usage"]
    assert usage.input_tokens == told["input_tokens"] and usage.output_tokens == told["output_tokens"]
    assert (usage.cache_read_input_tokens or 0) == told["cached_input_tokens"]
    assert (usage.cache_creation_input_tokens or 0) == told["cache_write_tokens"]
    return True


@every_kind
def test_words(claude, shop, bill, kind):
    history = ["Hello", {"role": "assistant", "content": "Hello!"}, QUESTION]
    hints = {"temperature": 0.5, "top_k": 40}  # the newest SDK has no names for them any more
    message = claude.messages.create(**asked(kind, *history, system=SYSTEM, metadata={"user_id": "ann"}, extra_body=hints))
    assert text_of(message) == shop.said(QUESTION)
    assert (message.type, message.role, message.model, message.stop_reason) == ("message", "assistant", MODELS[kind], "end_turn")
    assert same_usage(message.usage, bill.last())


@every_kind
def test_a_stream(claude, shop, bill, kind):
    whole = claude.messages.create(**asked(kind, QUESTION))
    cost = bill.last()["cost"]
    with claude.messages.stream(**asked(kind, QUESTION)) as stream:
        pieces = list(stream.text_stream)
        final = stream.get_final_message()
    assert "".join(pieces) == text_of(final) == shop.said(QUESTION) and len(pieces) > 10
    assert final.stop_reason == "end_turn"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (whole.usage.input_tokens, whole.usage.output_tokens)
    assert bill.last()["cost"] == cost
    raw = [event.type for event in claude.messages.create(**asked(kind, QUESTION), stream=True) if event.type != "ping"]
    assert raw[:2] == ["message_start", "content_block_start"] and raw[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def results_of(message, fail=False):
    calls = [block for block in message.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == CALLS
    assert len({call.id for call in calls}) == 2
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": RESULTS[call.name]} for call in calls]
    if fail:
        results[1] |= {"content": [{"type": "text", "text": "No such zone."}], "is_error": True}
    return {"role": "user", "content": results}


@every_kind
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("thinking", [None, THINKING, {"type": "adaptive"}], ids=["plain", "thinking", "adaptive"])
def test_tools_in_parallel_and_their_results(claude, kind, streamed, thinking):
    more = {"tools": TOOLS} | ({"thinking": thinking} if thinking else {})
    if streamed:
        with claude.messages.stream(**asked(kind, ERRAND, **more)) as stream:
            first = stream.get_final_message()
    else:
        first = claude.messages.create(**asked(kind, ERRAND, **more))
    assert first.stop_reason == "tool_use"
    # OpenAI's chat does not show thoughts.
    assert ("thinking" in types_of(first)) == bool(thinking and kind in SHOW_THOUGHTS)
    said = {"role": "assistant", "content": first.content}
    second = claude.messages.create(**asked(kind, ERRAND, said, results_of(first, fail=True), **more))
    assert second.stop_reason == "end_turn" and text_of(second)


@every_kind
@pytest.mark.parametrize(
    "choice, calls",
    [({"type": "none"}, []), ({"type": "any"}, ["get_weather"]), ({"type": "tool", "name": "get_time"}, ["get_time"])],
    ids=["none", "any", "named"],
)
def test_the_choice_of_a_tool(claude, kind, choice, calls):
    message = claude.messages.create(**asked(kind, QUESTION, tools=TOOLS, tool_choice=choice))
    assert [block.name for block in message.content if block.type == "tool_use"] == calls


@pytest.mark.parametrize("kind", [kind for kind in MODELS if kind != "gemini"])  # Gemini can only be told in words
def test_one_tool_at_a_time(claude, kind):
    message = claude.messages.create(**asked(kind, ERRAND, tools=TOOLS, tool_choice={"type": "auto", "disable_parallel_tool_use": True}))
    assert [block.name for block in message.content if block.type == "tool_use"] == ["get_weather"]


@pytest.mark.parametrize("kind", SHOW_THOUGHTS)
def test_thoughts_are_shown_and_signed(claude, shop, kind):
    first = claude.messages.create(**asked(kind, QUESTION, thinking=THINKING))
    assert types_of(first)[:2] == ["thinking", "text"] and first.content[0].thinking
    # Gemini signs the words, in a block of its own behind them.
    assert [block.signature for block in first.content if block.type == "thinking"][-1]
    second = claude.messages.create(**asked(kind, QUESTION, {"role": "assistant", "content": first.content}, "Are you sure?", thinking=THINKING))
    assert text_of(second) == shop.said("Are you sure?")


def test_thoughts_that_the_provider_hides_come_back_as_they_were(claude):
    question = f"{QUESTION} [[redacted]]"
    first = claude.messages.create(**asked("anthropic", question, thinking=THINKING))
    assert first.content[0].type == "redacted_thinking"
    assert claude.messages.create(**asked("anthropic", question, {"role": "assistant", "content": first.content}, "Go on", thinking=THINKING)).content


@every_kind
def test_pictures_and_documents_go_in(claude, shop, kind):
    text = {"type": "text", "text": QUESTION}
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": packed(png())}}
    document = {"type": "document", "title": "report.pdf", "source": {"type": "base64", "media_type": "application/pdf", "data": packed(PDF)}}

    def ask(*content):
        message = claude.messages.create(**asked(kind, {"role": "user", "content": [*content, text]}))
        assert text_of(message) == shop.said(QUESTION)
        return message.usage.input_tokens

    plain = ask()
    assert ask(picture) == plain + PICTURE_TOKENS
    assert ask(document) >= plain + 200


@every_kind
def test_an_answer_ends_where_it_is_told_to(claude, shop, kind):
    full = shop.said(QUESTION)
    cut = claude.messages.create(**asked(kind, QUESTION) | {"max_tokens": 20})
    assert (cut.stop_reason, cut.usage.output_tokens) == ("max_tokens", 20) and full.startswith(text_of(cut))
    if kind != "responses":  # it has no stop sequences
        word = full.split()[8]
        stopped = claude.messages.create(**asked(kind, QUESTION, stop_sequences=[word]))
        assert text_of(stopped) == full[: full.index(word)]
        # Others do not say what ended the answer.
        assert (stopped.stop_reason, stopped.stop_sequence) == (("stop_sequence", word) if kind == "anthropic" else ("end_turn", None))


@every_kind
def test_structured_output(claude, shop, kind):
    message = claude.messages.parse(**asked(kind, "A trip to Kyoto"), output_format=Trip)
    assert message.parsed_output.city == "Kyoto"


@every_kind
def test_cached_input_stands_beside_the_rest(claude, bill, kind):
    usage = claude.messages.create(**asked(kind, f"{QUESTION} [[tokens=4, cached=6]]")).usage
    assert usage.cache_read_input_tokens == 6
    assert same_usage(usage, bill.last())


def test_what_is_written_to_the_cache_is_told_with_its_time(claude, bill):
    usage = claude.messages.create(**asked("anthropic", f"{QUESTION} [[tokens=4, cache-write=5, cache-write-1h=3]]")).usage
    assert usage.cache_creation_input_tokens == 8
    assert (usage.cache_creation.ephemeral_5m_input_tokens, usage.cache_creation.ephemeral_1h_input_tokens) == (5, 3)
    assert same_usage(usage, bill.last())


@every_kind
def test_tokens_are_counted(claude, kind):
    short = claude.messages.count_tokens(model=MODELS[kind], messages=[{"role": "user", "content": QUESTION}]).input_tokens
    long = claude.messages.count_tokens(
        model=MODELS[kind], system=SYSTEM, tools=TOOLS, thinking=THINKING, messages=[{"role": "user", "content": QUESTION * 10}]
    ).input_tokens
    assert 0 < short < long
    used = claude.messages.create(**asked(kind, QUESTION)).usage.input_tokens
    assert used <= short <= used * 2 + 20


def test_models(claude):
    names = [model.id for model in claude.models.list()]
    assert set(MODELS.values()) <= set(names)
    assert claude.models.retrieve("claude-demo").type == "model"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_errors_are_the_sdks_own(shop, claude, streamed):
    def ask(client=claude, **more):
        answer = client.messages.create(**asked("anthropic", QUESTION) | more, stream=streamed)
        return list(answer) if streamed else answer

    def fails(kind, **more):
        with pytest.raises(kind) as caught:
            ask(**more)
        assert type(caught.value) is kind, caught.value
        assert caught.value.body["type"] == "error" and caught.value.request_id
        return caught.value

    assert fails(anthropic.AuthenticationError, client=claude.with_options(api_key="sk-nonsense")).body["error"]["type"] == "authentication_error"
    assert fails(anthropic.NotFoundError, model="no-such-model").body["error"]["type"] == "not_found_error"
    assert fails(anthropic.BadRequestError, max_tokens=-1).body["error"]["type"] == "invalid_request_error"
    assert fails(anthropic.BadRequestError, messages=[]).body["error"]["type"] == "invalid_request_error"
    visitor = Visitor(shop)
    visitor.log_in(**shop.facts["customer"])
    poor = visitor.new_key("a drop for messages" + " streamed" * streamed, budget="0.000001")
    error = fails(anthropic.PaymentRequiredError, client=claude.with_options(api_key=poor))
    assert error.status_code == 402 and error.body["error"]["type"] == "billing_error"
    broken = fails(anthropic.InternalServerError, messages=[{"role": "user", "content": "Hi [[500]]"}])
    assert broken.status_code == 502 and "org-upstream" not in str(broken.body)

