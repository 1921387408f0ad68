"""Responses through OpenAI's SDK, to a channel of every kind."""

import json

import pytest

from common import CALLS, ERRAND, MODELS, PARAMETERS, PDF, PICTURE_TOKENS, QUESTION, RESULTS, THOUGHT_TOKENS, Trip, every_kind, packed, png

TOOLS = [{"type": "function", "name": name, "description": name, "parameters": schema, "strict": True} for name, schema in PARAMETERS.items()]
PATCH = {"type": "custom", "name": "apply_patch", "description": "Free text"}


def kinds_of(response):
    return [item.type for item in response.output]


def items(response):
    """The output as the input of the next turn, as clients send it that keep the history themselves."""
    return [item.model_dump(exclude_none=True, exclude={"parsed_arguments": True, "content": {"__all__": {"parsed"}}}) for item in response.output]


@every_kind
def test_words(oai, shop, bill, kind):
    response = oai.responses.create(model=MODELS[kind], instructions="Be brief.", input=QUESTION, store=False)
    assert response.output_text == shop.said(QUESTION)
    assert (response.status, response.object, response.model) == ("completed", "response", MODELS[kind])
    row = bill.last()["usage"]
    assert response.usage.input_tokens == row["input_tokens"] + row["cached_input_tokens"] + row["cache_write_tokens"]
    assert response.usage.output_tokens == row["output_tokens"]
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


@every_kind
def test_a_conversation(oai, shop, kind):
    history = [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    history += items(oai.responses.create(model=MODELS[kind], input=history, store=False))
    history.append({"role": "user", "content": [{"type": "input_text", "text": QUESTION}]})
    assert oai.responses.create(model=MODELS[kind], input=history, store=False).output_text == shop.said(QUESTION)


@every_kind
def test_a_stream(oai, shop, bill, kind):
    whole = oai.responses.create(model=MODELS[kind], input=QUESTION)
    cost = bill.last()["cost"]
    events = list(oai.responses.create(model=MODELS[kind], input=QUESTION, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [events[0].type, events[-1].type] == ["response.created", "response.completed"]
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-1].response.output_text == shop.said(QUESTION)
    assert events[-1].response.usage == whole.usage
    assert bill.last()["cost"] == cost


@every_kind
def test_the_streaming_helper(oai, shop, kind):
    with oai.responses.stream(model=MODELS[kind], input=QUESTION) as stream:
        final = stream.get_final_response()
    assert final.output_text == shop.said(QUESTION)


def results_of(response):
    calls = [item for item in response.output if item.type == "function_call"]
    assert [(call.name, json.loads(call.arguments)) for call in calls] == CALLS
    assert len({call.call_id for call in calls}) == 2
    return [{"type": "function_call_output", "call_id": call.call_id, "output": RESULTS[call.name]} for call in calls]


@every_kind
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_tools_in_parallel_and_their_results(oai, kind, streamed):
    asked = {"model": MODELS[kind], "tools": TOOLS, "store": False}
    history = [{"role": "user", "content": ERRAND}]
    if streamed:
        with oai.responses.stream(**asked, input=history) as stream:
            for event in stream:
                if event.type == "response.function_call_arguments.done":
                    assert json.loads(event.arguments) in [arguments for _, arguments in CALLS]
            first = stream.get_final_response()
    else:
        first = oai.responses.create(**asked, input=history)
    assert kinds_of(first) == ["function_call", "function_call"]
    second = oai.responses.create(**asked, input=[*history, *items(first), *results_of(first)])
    assert kinds_of(second) == ["message"] and second.output_text


@every_kind
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_reasoning_items_come_back_and_are_taken(oai, kind, streamed):
    asked = {
        "model": MODELS[kind], "tools": TOOLS, "store": False, "include": ["reasoning.encrypted_content"], "reasoning": {"effort": "high", "summary": "auto"},
    }  # fmt: skip
    history = [{"role": "user", "content": ERRAND}]
    if streamed:
        with oai.responses.stream(**asked, input=history) as stream:
            first = stream.get_final_response()
    else:
        first = oai.responses.create(**asked, input=history)
    assert first.usage.output_tokens_details.reasoning_tokens == THOUGHT_TOKENS
    calls = [item for item in kinds_of(first) if item == "function_call"]
    assert len(calls) == 2
    if kind in ("responses", "azure", "anthropic", "gemini"):
        assert first.output[0].type == "reasoning" and first.output[0].summary[0].text
    second = oai.responses.create(**asked, input=[*history, *items(first), *results_of(first)])
    assert second.output_text and second.status == "completed"


@every_kind
def test_structured_output(oai, kind):
    response = oai.responses.parse(model=MODELS[kind], input="A trip to Kyoto", text_format=Trip)
    assert response.output_parsed.city == "Kyoto"
    again = oai.chat.completions.parse(model="demo-chat", messages=[{"role": "user", "content": "A trip to Kyoto"}], response_format=Trip)
    assert response.output_parsed == again.choices[0].message.parsed


@every_kind
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_a_tool_that_takes_free_text(oai, kind, streamed):
    asked = {"model": MODELS[kind], "tools": [PATCH], "store": False}
    history = [{"role": "user", "content": "Please apply this patch to Kyoto"}]
    if streamed:
        with oai.responses.stream(**asked, input=history) as stream:
            first = stream.get_final_response()
    else:
        first = oai.responses.create(**asked, input=history)
    [call] = first.output
    assert (call.type, call.name) == ("custom_tool_call", "apply_patch") and call.input
    history += [*items(first), {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "Done."}]
    assert oai.responses.create(**asked, input=history).output_text


@every_kind
def test_pictures_and_documents_go_in(oai, shop, kind):
    text = {"type": "input_text", "text": QUESTION}
    picture = {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{packed(png())}"}
    document = {"type": "input_file", "filename": "report.pdf", "file_data": f"data:application/pdf;base64,{packed(PDF)}"}

    def ask(*content):
        response = oai.responses.create(model=MODELS[kind], input=[{"role": "user", "content": list(content)}])
        assert response.output_text == shop.said(QUESTION)
        return response.usage.input_tokens

    plain = ask(text)
    assert ask(text, picture) == plain + PICTURE_TOKENS
    assert ask(text, document) >= plain + 200


@every_kind
def test_an_answer_that_is_cut_is_incomplete(oai, shop, kind):
    response = oai.responses.create(model=MODELS[kind], input=QUESTION, max_output_tokens=20)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert shop.said(QUESTION).startswith(response.output_text) and response.usage.output_tokens == 20
    events = list(oai.responses.create(model=MODELS[kind], input=QUESTION, max_output_tokens=20, stream=True))
    assert events[-1].type == "response.incomplete"


@every_kind
def test_a_refusal_is_one(oai, kind):
    response = oai.responses.create(model=MODELS[kind], input="Hello [[refuse]]")
    [part] = response.output[-1].content
    assert (part.refusal if part.type == "refusal" else part.text) == "I'm sorry, but I can't help with that request."
