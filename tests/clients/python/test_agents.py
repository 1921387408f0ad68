"""What coding agents send, as they send it, to a channel of every kind: Codex in Responses, Claude Code in Messages. A turn with several tools, its results, the
next turn, and what else they ask at the start."""

import copy
import json
from pathlib import Path

import httpx2
import pytest

from common import MODELS, every_kind, packed, png

FIXTURES = Path(__file__).parent / "fixtures"
CODEX_HEADERS = {
    "accept": "text/event-stream",
    "originator": "codex_cli_rs",
    "user-agent": "codex_cli_rs/0.150.0 (Debian 12.0.0; x86_64) xterm",
    "session_id": "0199f5c2-8d21-7b60-9f2c-3f4a5b6c7d8e",
    "openai-beta": "responses=experimental",
}
CLAUDE_HEADERS = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "claude-code-20250219,interleaved-thinking-2025-05-14,context-management-2025-06-27,effort-2025-11-24",
    "anthropic-dangerous-direct-browser-access": "true",
    "user-agent": "claude-cli/2.1.220 (external, cli)",
    "x-app": "cli",
    "x-stainless-helper-method": "stream",
}
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": packed(png())}}


def fixture(name, kind):
    return {"model": MODELS[kind]} | json.loads((FIXTURES / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def http(shop, bill):
    with httpx2.Client(base_url=shop.url, event_hooks=bill.hooks, timeout=60) as http:
        yield http


def events(http, path, body, headers):
    """The events of a stream, read as far as a client of any language would."""
    with http.stream("POST", path, json=body, headers=headers) as response:
        if response.status_code != 200:
            pytest.fail(f"{response.status_code}: {response.read().decode()}")
        assert response.headers["content-type"].startswith("text/event-stream")
        found, name = [], None
        for line in response.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                assert name == event["type"]
                found.append(event)
    return found


def codex(http, shop, body):
    """One call as Codex reads it: the items that are done, until the response is."""
    seen = events(http, "/v1/responses", body, CODEX_HEADERS | {"authorization": f"Bearer {shop.key}"})
    assert seen[0]["type"] == "response.created" and seen[0]["response"]["id"]
    assert [event["sequence_number"] for event in seen] == list(range(len(seen)))
    last = seen[-1]
    assert last["type"] == "response.completed" and last["response"]["usage"]["total_tokens"] > 0
    return [event["item"] for event in seen if event["type"] == "response.output_item.done"]


def words_of(items):
    """The message among some items. Thoughts may stand beside it, and Gemini's seal behind it."""
    [message] = [item for item in items if item["type"] != "reasoning"]
    return message["content"][0]["text"]


def kept(item):
    """An item as Codex keeps it: without what the server made up for itself."""
    names = {"type", "role", "content", "name", "namespace", "arguments", "input", "call_id", "summary", "encrypted_content"}
    item = {name: value for name, value in item.items() if name in names}
    if item["type"] == "message":
        item["content"] = [{"type": part["type"], "text": part["text"]} for part in item["content"]]
    return item


@every_kind
def test_codex(http, shop, kind):
    body = fixture("codex", kind)
    items = codex(http, shop, body)
    calls = [item for item in items if item["type"].endswith("_call")]
    assert [(call["type"], call["name"]) for call in calls] == [
        ("function_call", "exec_command"), ("function_call", "update_plan"), ("custom_tool_call", "apply_patch"),
    ]  # fmt: skip
    assert json.loads(calls[0]["arguments"])["cmd"] == json.loads(calls[1]["arguments"])["plan"][0]["step"] == "Kyoto"
    assert "Kyoto" in calls[2]["input"]
    body["input"] += [kept(item) for item in items]
    for call in calls:
        output = {"type": call["type"] + "_output", "call_id": call["call_id"], "output": f"Chunk ID: 1\nProcess exited with code 0\nOutput:\n{call['name']}\n"}
        body["input"].append(output)
    items = codex(http, shop, body)
    assert words_of(items)
    # The next turn, with a picture; a tool whose result has a picture; and the first messages are still there.
    body["input"] += [kept(item) for item in items]
    text = {"type": "input_text", "text": "View the image of the castle in Kyoto."}
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{packed(png())}", "detail": "high"}
    body["input"].append({"type": "message", "role": "user", "content": [text, picture]})
    items = codex(http, shop, body)
    [call] = [item for item in items if item["type"] == "function_call"]
    assert call["name"] == "view_image"
    body["input"] += [kept(item) for item in items]
    body["input"].append({"type": "function_call_output", "call_id": call["call_id"], "output": [picture]})
    assert words_of(codex(http, shop, body))


@pytest.mark.parametrize("kind", ["openai", "anthropic", "gemini"])
def test_codex_with_a_tool_of_a_server_and_a_schema_for_the_last_answer(http, shop, kind):
    body = fixture("codex", kind)
    body["input"][-1]["content"][0]["text"] = "List the directory Kyoto"
    items = codex(http, shop, body)
    [call] = [item for item in items if item["type"] == "function_call"]
    assert (call["name"], call["namespace"]) == ("list_directory", "mcp__files")
    body["input"] += [kept(item) for item in items]
    body["input"].append({"type": "function_call_output", "call_id": call["call_id"], "output": "aborted"})
    schema = {"type": "object", "properties": {"done": {"type": "boolean"}, "town": {"type": "string"}}, "required": ["done", "town"], "additionalProperties": False}
    body["text"]["format"] = {"type": "json_schema", "strict": True, "schema": schema, "name": "codex_output_schema"}
    answer = json.loads(words_of(codex(http, shop, body)))
    assert set(answer) == {"done", "town"}


def claude(http, shop, body):
    """One call as Claude Code reads it: the blocks put together from their pieces."""
    seen = events(http, "/v1/messages?beta=true", body, CLAUDE_HEADERS | {"authorization": f"Bearer {shop.key}"})
    assert seen[0]["type"] == "message_start" and seen[0]["message"]["usage"]["input_tokens"] > 0
    assert seen[-1]["type"] == "message_stop"
    blocks, pieces, reason = [], "", None
    for event in seen:
        delta = event.get("delta", {})
        match event["type"], delta.get("type"):
            case "content_block_start", _:
                assert event["index"] == len(blocks)
                blocks.append(event["content_block"])
                pieces = ""
            case "content_block_delta", "text_delta":
                blocks[-1]["text"] += delta["text"]
            case "content_block_delta", "thinking_delta":
                blocks[-1]["thinking"] += delta["thinking"]
            case "content_block_delta", "signature_delta":
                blocks[-1]["signature"] = blocks[-1].get("signature", "") + delta["signature"]
            case "content_block_delta", "input_json_delta":
                pieces += delta["partial_json"]
            case "content_block_stop", _ if blocks[-1]["type"] == "tool_use":
                blocks[-1]["input"] = json.loads(pieces or "{}")
            case "message_delta", _:
                reason = delta["stop_reason"]
                assert event["usage"]["output_tokens"] > 0
    return blocks, reason


@every_kind
def test_claude_code(http, shop, kind):
    body = fixture("claude_code", kind)
    blocks, reason = claude(http, shop, body)
    assert reason == "tool_use"
    calls = [block for block in blocks if block["type"] == "tool_use"]
    assert [call["name"] for call in calls] == ["Read", "Grep", "TodoWrite"]
    assert calls[0]["input"]["file_path"] == calls[1]["input"]["pattern"] == "TodoWrite"
    assert calls[1]["input"]["output_mode"] == "content" and "-i" in calls[1]["input"]
    results = [
        {"tool_use_id": calls[0]["id"], "type": "tool_result", "content": [{"type": "text", "text": "1\tKyoto"}, PICTURE]},
        {"tool_use_id": calls[1]["id"], "type": "tool_result", "content": "<tool_use_error>No matches</tool_use_error>", "is_error": True},
        {"tool_use_id": calls[2]["id"], "type": "tool_result", "content": "Kept.", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
        {"type": "text", "text": "<system-reminder>\nNobody has to hear of this.\n</system-reminder>\n"},
    ]
    # The mark moves on to the newest message.
    del body["messages"][0]["content"][-1]["cache_control"]
    body["messages"] += [{"role": "assistant", "content": blocks}, {"role": "user", "content": results}]
    blocks, reason = claude(http, shop, body)
    assert reason == "end_turn" and any(block["type"] == "text" and block["text"] for block in blocks)
    del body["messages"][-1]["content"][2]["cache_control"]
    body["messages"] += [{"role": "assistant", "content": blocks}, {"role": "user", "content": [{"type": "text", "text": "Thank you."}, PICTURE]}]
    blocks, reason = claude(http, shop, body)
    assert reason == "end_turn"


@every_kind
def test_what_claude_code_asks_beside_the_conversation(http, shop, kind):
    headers = CLAUDE_HEADERS | {"x-api-key": shop.key}
    body = fixture("claude_code", kind)
    # Whether there is any quota.
    probe = {"model": MODELS[kind], "max_tokens": 1, "messages": [{"role": "user", "content": "quota"}], "metadata": body["metadata"]}
    answer = http.post("/v1/messages?beta=true", json=probe, headers=headers)
    assert answer.status_code == 200 and answer.json()["stop_reason"] == "max_tokens", answer.text
    # A title, in a form.
    schema = {"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"], "additionalProperties": False}
    title = copy.deepcopy(body) | {"tools": [], "temperature": 1, "output_config": {"format": {"type": "json_schema", "schema": schema}}}
    title["messages"] = [{"role": "user", "content": "Notes on Kyoto"}]
    del title["thinking"], title["context_management"]
    blocks, _ = claude(http, shop, title)
    assert set(json.loads(blocks[-1]["text"])) == {"title"}
    # How long everything is, many times at once.
    counted = {name: body[name] for name in ("model", "system", "messages", "tools", "thinking")}
    answers = [http.post("/v1/messages/count_tokens?beta=true", json=counted, headers=headers) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {200} and answers[0].json()["input_tokens"] > 200
