"""generateContent through Google's SDK, to a channel of every kind."""

import pytest
from google import genai
from google.genai import errors, types

from common import CALLS, ERRAND, MODELS, PARAMETERS, PDF, PICTURE_TOKENS, QUESTION, RESULTS, THOUGHT_TOKENS, Trip, every_kind, png

DECLARATIONS = [types.FunctionDeclaration(name=name, description=name, parameters_json_schema=schema) for name, schema in PARAMETERS.items()]
TOOLS = [types.Tool(function_declarations=DECLARATIONS)]
# The SDK would run Python functions by itself; these are declarations, and it is told so.
NOT_BY_ITSELF = types.AutomaticFunctionCallingConfig(disable=True)

# OpenAI's chat does not show thoughts.
SHOW_THOUGHTS = ("responses", "anthropic", "gemini")


def config(**more):
    return types.GenerateContentConfig(automatic_function_calling=NOT_BY_ITSELF, **more)


def same_usage(usage, row):
    told = row["usage"]
    assert usage.prompt_token_count == told["input_tokens"] + told["cached_input_tokens"] + told["cache_write_tokens"]
    assert (usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0) == told["output_tokens"]
    assert usage.total_token_count == usage.prompt_token_count + told["output_tokens"]
    return True


@every_kind
def test_words(gem, shop, bill, kind):
    contents = [
        types.UserContent(parts=[types.Part(text="Hello")]),
        types.ModelContent(parts=[types.Part(text="Hello!")]),
        types.UserContent(parts=[types.Part(text=QUESTION)]),
    ]
    answer = gem.models.generate_content(model=MODELS[kind], contents=contents, config=config(system_instruction="Be brief.", temperature=0.5, top_k=40))
    assert answer.text == shop.said(QUESTION)
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    assert answer.model_version == MODELS[kind]
    assert same_usage(answer.usage_metadata, bill.last())


@pytest.mark.parametrize("version", [None, "v1", "v1beta"])
def test_every_version_of_the_paths(shop, version, gem, bill):
    options = types.HttpOptions(base_url=shop.url, api_version=version, client_args={"event_hooks": bill.hooks})
    with genai.Client(api_key=shop.key, http_options=options) as client:
        assert client.models.generate_content(model="gemini-demo", contents=QUESTION).text == shop.said(QUESTION)
        pieces = client.models.generate_content_stream(model="gemini-demo", contents=QUESTION)
        assert "".join(piece.text or "" for piece in pieces) == shop.said(QUESTION)
        assert client.models.count_tokens(model="gemini-demo", contents=QUESTION).total_tokens > 0
        names = {model.name for model in client.models.list()}
        assert {f"models/{name}" for name in MODELS.values()} <= names
        assert client.models.get(model="gemini-demo").name == "models/gemini-demo"


@every_kind
def test_a_stream(gem, shop, bill, kind):
    whole = gem.models.generate_content(model=MODELS[kind], contents=QUESTION)
    cost = bill.last()["cost"]
    pieces = list(gem.models.generate_content_stream(model=MODELS[kind], contents=QUESTION))
    assert "".join(piece.text or "" for piece in pieces) == shop.said(QUESTION) and len(pieces) > 5
    last = pieces[-1]
    assert last.candidates[0].finish_reason == types.FinishReason.STOP
    assert last.usage_metadata.total_token_count == whole.usage_metadata.total_token_count
    assert bill.last()["cost"] == cost


@every_kind
def test_a_conversation_kept_by_the_sdk(gem, shop, kind):
    chat = gem.chats.create(model=MODELS[kind])
    assert chat.send_message("Hello there").text == shop.said("Hello there")
    assert chat.send_message(QUESTION).text == shop.said(QUESTION)
    assert "".join(piece.text or "" for piece in chat.send_message_stream("Why is the sky blue?")) == shop.said("Why is the sky blue?")


def results_of(calls):
    assert [(call.name, call.args) for call in calls] == CALLS
    parts = [types.Part.from_function_response(name=call.name, response={"result": RESULTS[call.name]}) for call in calls]
    for part, call in zip(parts, calls):
        part.function_response.id = call.id
    return types.Content(role="user", parts=parts)


@every_kind
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("thinks", [False, True], ids=["plain", "thinking"])
def test_functions_in_parallel_and_their_results(gem, kind, streamed, thinks):
    more = {"thinking_config": types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)} if thinks else {}
    asked = {"model": MODELS[kind], "config": config(tools=TOOLS, **more)}
    user = types.Content(role="user", parts=[types.Part(text=ERRAND)])
    if streamed:
        pieces = list(gem.models.generate_content_stream(**asked, contents=[user]))
        parts = [part for piece in pieces for part in (piece.candidates[0].content.parts if piece.candidates and piece.candidates[0].content else None) or []]
    else:
        parts = gem.models.generate_content(**asked, contents=[user]).candidates[0].content.parts
    calls = [part.function_call for part in parts if part.function_call]
    if thinks and kind in SHOW_THOUGHTS:
        first = next(part for part in parts if part.text or part.function_call)  # an empty one keeps a stream alive
        assert first.thought and first.text
    if thinks and kind == "gemini":
        assert any(part.thought_signature for part in parts if part.function_call), "what Gemini signs comes back signed"
    history = [user, types.Content(role="model", parts=parts), results_of(calls)]
    last = gem.models.generate_content(**asked, contents=history)
    assert last.text and not last.function_calls
    assert last.candidates[0].finish_reason == types.FinishReason.STOP


def get_weather(city: str) -> str:
    """The weather of a city."""
    return f"Rain in {city}."


@every_kind
def test_functions_that_the_sdk_calls_by_itself(gem, kind):
    answer = gem.models.generate_content(model=MODELS[kind], contents="The weather in Kyoto?", config=types.GenerateContentConfig(tools=[get_weather]))
    history = answer.automatic_function_calling_history
    assert history[1].parts[-1].function_call.args == {"city": "Kyoto"}
    assert history[2].parts[0].function_response.response == {"result": "Rain in Kyoto."}
    assert answer.text


@every_kind
@pytest.mark.parametrize("mode, names, calls", [("NONE", None, []), ("ANY", None, ["get_weather"]), ("ANY", ["get_time"], ["get_time"])], ids=["none", "any", "named"])
def test_the_choice_of_a_function(gem, kind, mode, names, calls):
    choice = types.ToolConfig(function_calling_config=types.FunctionCallingConfig(mode=mode, allowed_function_names=names))
    answer = gem.models.generate_content(model=MODELS[kind], contents=QUESTION, config=config(tools=TOOLS, tool_config=choice))
    assert [call.name for call in answer.function_calls or []] == calls


@every_kind
def test_structured_output(gem, shop, kind):
    asked = config(response_mime_type="application/json", response_schema=Trip)
    answer = gem.models.generate_content(model=MODELS[kind], contents="A trip to Kyoto", config=asked)
    assert answer.parsed.city == "Kyoto" and isinstance(answer.parsed, Trip)


@every_kind
def test_thoughts(gem, shop, kind):
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=1024)
    answer = gem.models.generate_content(model=MODELS[kind], contents=QUESTION, config=config(thinking_config=thinking))
    assert answer.text == shop.said(QUESTION)
    assert answer.usage_metadata.thoughts_token_count == THOUGHT_TOKENS
    if kind in SHOW_THOUGHTS:
        assert answer.candidates[0].content.parts[0].thought


@every_kind
def test_pictures_and_documents_go_in(gem, shop, kind):
    def ask(*parts):
        answer = gem.models.generate_content(model=MODELS[kind], contents=[*parts, QUESTION])
        assert answer.text == shop.said(QUESTION)
        return answer.usage_metadata.prompt_token_count

    plain = ask()
    assert ask(types.Part.from_bytes(data=png(), mime_type="image/png")) == plain + PICTURE_TOKENS
    assert ask(types.Part.from_bytes(data=PDF, mime_type="application/pdf")) >= plain + 200


@every_kind
def test_an_answer_ends_where_it_is_told_to(gem, shop, kind):
    full = shop.said(QUESTION)
    cut = gem.models.generate_content(model=MODELS[kind], contents=QUESTION, config=config(max_output_tokens=20))
    assert cut.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS and full.startswith(cut.text)
    assert cut.usage_metadata.candidates_token_count == 20
    if kind != "responses":  # it has no stop sequences
        word = full.split()[8]
        stopped = gem.models.generate_content(model=MODELS[kind], contents=QUESTION, config=config(stop_sequences=[word]))
        assert stopped.text == full[: full.index(word)] and stopped.candidates[0].finish_reason == types.FinishReason.STOP


@every_kind
def test_cached_input_is_told(gem, bill, kind):
    usage = gem.models.generate_content(model=MODELS[kind], contents=f"{QUESTION} [[tokens=4, cached=6]]").usage_metadata
    assert usage.cached_content_token_count == 6
    assert same_usage(usage, bill.last())


@every_kind
def test_tokens_are_counted(gem, kind):
    short = gem.models.count_tokens(model=MODELS[kind], contents=QUESTION).total_tokens
    long = gem.models.count_tokens(model=MODELS[kind], contents=[QUESTION * 10]).total_tokens
    assert 0 < short < long


@pytest.mark.parametrize("model", ["gemini-embed-demo", "embed-demo", "azure-demo"])
def test_vectors(gem, model):
    contents = [types.UserContent(text) for text in ("How do ships float?", "Why is the sky blue?")]
    several = gem.models.embed_content(model=model, contents=contents, config=types.EmbedContentConfig(output_dimensionality=8))
    assert [len(one.values) for one in several.embeddings] == [8, 8]
    assert several.embeddings[0].values != several.embeddings[1].values
    [one] = gem.models.embed_content(model=model, contents="How do ships float?").embeddings
    assert len(one.values) > 100


def test_a_blocked_prompt_is_told(gem):
    answer = gem.models.generate_content(model="gemini-demo", contents="Hello [[blocked]]")
    assert answer.prompt_feedback.block_reason == types.BlockedReason.SAFETY


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_errors_are_the_sdks_own(shop, gem, streamed):
    def fails(code, status, client=gem, model="gemini-demo", contents=QUESTION, kind=errors.ClientError, **more):
        with pytest.raises(kind) as caught:
            if streamed:
                list(client.models.generate_content_stream(model=model, contents=contents, **more))
            else:
                client.models.generate_content(model=model, contents=contents, **more)
        assert (caught.value.code, caught.value.status) == (code, status)

    with genai.Client(api_key="sk-nonsense", http_options=types.HttpOptions(base_url=shop.url)) as stranger:
        fails(401, "UNAUTHENTICATED", client=stranger)
    fails(404, "NOT_FOUND", model="no-such-model")
    fails(400, "INVALID_ARGUMENT", config=config(max_output_tokens=-1))
    fails(502, "INTERNAL", contents="Hi [[500]]", kind=errors.ServerError)
