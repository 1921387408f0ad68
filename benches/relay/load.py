"""The load: one chat request of about one kilobyte, sent again and again by wrk, each connection waiting for its answer."""

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from machine import Failure, pinned

HERE = Path(__file__).resolve().parent
MODEL = "gpt-4o-mini"
PATHS = {"chat": "/v1/chat/completions", "messages": "/v1/messages"}

SYSTEM = "You are a careful assistant that answers briefly and never invents facts."
USER = (
    "Below is a short report about an outage; answer with a summary of two sentences. Shortly after nine in the morning the "
    "payment service began to fail for about three calls in a hundred. The engineer on duty found that a slow report had used "
    "up the pool of connections, allowed a larger pool, and sent the report to the replica instead. Twenty minutes later the "
    "errors were gone. No data was lost, eleven customers tried again by hand, and the status page was updated twice. Then name "
    "one change that would have made the outage shorter and one that would have prevented it, and say which of the two you "
    "would make first, and why. Stay under ninety words, use plain language, and do not repeat any time of day."
)


@dataclass(frozen=True)
class Mode:
    """What is asked, and by how many connections at once."""

    name: str
    streamed: bool
    connections: int
    # What the caller speaks; the upstream always speaks chat.
    dialect: str = "chat"


MODES = (Mode("chat", False, 32), Mode("stream", True, 32), Mode("chat@1", False, 1))
TRANSLATED = Mode("translated", True, 32, "messages")


def body(streamed, dialect="chat"):
    """The request's JSON."""
    if dialect == "messages":
        messages = [{"role": "user", "content": USER}]
        return json.dumps({"model": MODEL, "max_tokens": 256, "temperature": 0.2, "system": SYSTEM, "messages": messages, "stream": streamed}).encode()
    request = {
        "model": MODEL,
        "max_tokens": 256,
        "temperature": 0.2,
        "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": USER}],
    }
    if streamed:
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(request).encode()


def check_answer(url, key, mode):
    """Sends one request, and fails when the answer is not whole."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(url + PATHS[mode.dialect], data=body(mode.streamed, mode.dialect), headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as response:
            text = response.read().decode()
    except urllib.error.HTTPError as error:
        raise Failure(f"{url} answered {error.code}: {error.read().decode(errors='replace')[:500]}") from error
    events = text.count("data: ")
    if mode.dialect == "messages":
        whole = text.count("event: content_block_delta") == 50 and "event: message_stop" in text
    else:
        whole = events == 52 and text.rstrip().endswith("[DONE]") if mode.streamed else '"usage"' in text
    if not whole:
        raise Failure(f"an answer is not whole ({events} events):\n{text[:2000]}")


def run(url, keys, mode, seconds, core, folder):
    """Loads a gateway for some seconds, with these keys in turns, and returns what wrk measured."""
    file, key_file = Path(folder) / f"body-{mode.name}.json", Path(folder) / "keys"
    file.write_bytes(body(mode.streamed, mode.dialect))
    key_file.write_text("\n".join(keys))
    command = ["wrk", "--threads", 1, "--connections", mode.connections, "--duration", f"{seconds}s", "--timeout", "20s"]
    done = subprocess.run(
        pinned(core, [*command, "--script", HERE / "chat.lua", url + PATHS[mode.dialect]]),
        env={**os.environ, "BODY": str(file), "KEYS": str(key_file), "TARGET": PATHS[mode.dialect]},
        capture_output=True,
        text=True,
        check=False,
    )
    measured = re.search(r"^MEASURED (\{.*\})$", done.stdout, re.MULTILINE)
    if not measured:
        raise Failure(f"wrk failed:\n{done.stdout}{done.stderr}")
    return json.loads(measured.group(1))
