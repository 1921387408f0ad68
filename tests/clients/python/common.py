"""What the tests of every dialect ask: the models of each kind of channel, questions, tools, a picture, a sound, a document."""

import base64
import io
import struct
import wave
import zlib
from decimal import Decimal

import pydantic
import pytest

# A model of each kind of channel; what the provider behind it speaks.
MODELS = {
    "openai": "demo-chat",
    "responses": "responses-demo",
    "anthropic": "claude-demo",
    "gemini": "gemini-demo",
    "azure": "azure-demo",
}
every_kind = pytest.mark.parametrize("kind", MODELS)

QUESTION = "How do ships float?"
# The provider calls the tools that a question speaks of, with its last capitalised word.
ERRAND = "What are the weather and the time in Kyoto?"
CALLS = [("get_weather", {"city": "Kyoto"}), ("get_time", {"zone": "Kyoto"})]
RESULTS = {"get_weather": "Light rain, 14 degrees.", "get_time": "A quarter past nine."}
PARAMETERS = {
    "get_weather": {
        "type": "object",
        "properties": {"city": {"type": "string", "description": "Where"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "get_time": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"], "additionalProperties": False},
}
# What the provider counts for a picture and thinks when it is asked to.
PICTURE_TOKENS = 85
THOUGHT_TOKENS = 24


class Trip(pydantic.BaseModel):
    """An answer of a form."""

    city: str
    days: int
    stops: list[str]


def png():
    """A picture of one pixel."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")) + chunk(b"IEND", b"")


def wav(seconds=2):
    """Silence."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"\0\0" * 8000 * seconds)
    return file.getvalue()


PDF = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF"


def packed(data):
    return base64.b64encode(data).decode()


class Bill:
    """Keeps the number of every answer of a test, and holds what the shop has charged for each against the balance."""

    def __init__(self, shop, spent):
        self.shop, self.spent, self.start = shop, spent, spent(shop)
        self.answers = []
        # Whether the provider leaves it to the shop to count: it reports nothing for some forms of answers.
        self.counted = False

    def note(self, response):
        self.answers.append((response.request.method, response.request.url.path, response.status_code, response.headers))

    @property
    def hooks(self):
        return {"response": [self.note]}

    def last(self):
        """The shop's record of the last call."""
        return self.shop.generation(self.answers[-1][3]["x-request-id"])

    def check(self):
        """Every answer was charged, once, what its header says, and nothing else was."""
        ids, total = set(), Decimal(0)
        for method, path, status, headers in self.answers:
            assert headers["x-request-id"] not in ids, "every answer has a number of its own"
            ids.add(headers["x-request-id"])
            if method != "POST" or status != 200 or path.lower().endswith(("count_tokens", ":counttokens")):
                assert "x-farebox-cost-usd" not in headers or Decimal(headers["x-farebox-cost-usd"]) == 0, (path, status)
                continue
            row = self.shop.generation(headers["x-request-id"])
            assert row["status"] == 200 and row["outcome"] == "complete" and row["counted"] in (False, self.counted), row
            assert row["cost"] > 0, row
            if "text/event-stream" not in headers["content-type"]:
                assert Decimal(headers["x-farebox-cost-usd"]) == row["cost"], row
            total += row["cost"]
        assert self.spent(self.shop) - self.start == total, "the balance has paid for these answers and for nothing else"
