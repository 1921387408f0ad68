"""What is no conversation, through OpenAI's SDK: vectors, pictures, sound, moderation, reranking, models; each at the price of its kind."""

import base64
import io
import wave
from decimal import Decimal

import pytest

from common import MODELS, PICTURE_TOKENS, png, wav

# Models of the same path behind channels of different kinds.
EMBEDDING = ["embed-demo", "gemini-embed-demo", "azure-demo"]
TEXTS = ["How do ships float?", "Why is the sky blue?"]


@pytest.mark.parametrize("model", EMBEDDING)
def test_vectors_as_numbers_and_packed(lenient, model):
    packed = lenient.embeddings.create(model=model, input=TEXTS)  # the SDK asks for base64 and unpacks it
    numbers = lenient.embeddings.create(model=model, input=TEXTS, encoding_format="float")
    assert [row.index for row in packed.data] == [0, 1] and packed.model == model
    for one, other in zip(packed.data, numbers.data, strict=True):
        assert len(one.embedding) == len(other.embedding) > 100
        assert max(abs(a - b) for a, b in zip(one.embedding, other.embedding)) < 1e-6
    assert packed.usage == numbers.usage and packed.usage.prompt_tokens > 0
    short = lenient.embeddings.create(model=model, input=TEXTS[0], dimensions=8).data
    assert len(short) == 1 and len(short[0].embedding) == 8


def test_vectors_are_priced_by_the_token(lenient, bill):
    usage = lenient.embeddings.create(model="embed-demo", input=TEXTS).usage
    assert bill.last()["cost"] == usage.prompt_tokens * Decimal("0.02") / 1_000_000


@pytest.mark.parametrize("model", ["image-demo", "azure-demo"])
def test_pictures_are_made(oai, bill, model):
    answer = oai.images.generate(model=model, prompt="A ship", n=2, size="1024x1024", quality="low")
    assert len(answer.data) == 2
    assert all(base64.b64decode(picture.b64_json).startswith(b"\x89PNG") for picture in answer.data)
    assert answer.usage.output_tokens == 2 * 272
    if model == "image-demo":
        text = answer.usage.input_tokens_details.text_tokens
        assert bill.last()["cost"] == (text * Decimal(5) + 544 * Decimal(40)) / 1_000_000


def test_pictures_at_a_price_each(oai, bill):
    answer = oai.images.generate(model="dall-e-demo", prompt="A ship", n=3)
    assert len(answer.data) == 3 and answer.data[0].url
    assert bill.last()["cost"] == Decimal("0.12")


def test_pictures_are_drawn_while_one_looks(oai):
    events = list(oai.images.generate(model="image-demo", prompt="A ship", quality="low", stream=True, partial_images=2))
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert events[-1].usage.output_tokens == 272 + 200


@pytest.mark.parametrize("model", ["image-demo", "azure-demo"])
def test_pictures_are_changed(oai, model):
    files = [("a.png", png(), "image/png"), ("b.png", png(), "image/png")]
    answer = oai.images.edit(model=model, image=files, prompt="Make it blue", quality="low")
    assert len(answer.data) == 1 and answer.usage.input_tokens_details.image_tokens == 2 * PICTURE_TOKENS


@pytest.mark.parametrize("model", ["speech-demo", "azure-demo"])
def test_speech(oai, bill, model):
    bill.counted = True
    text = "All aboard, please."
    sound = oai.audio.speech.create(model=model, voice="alloy", input=text, response_format="wav").content
    with wave.open(io.BytesIO(sound)) as file:
        assert file.getnframes() > 0
    if model == "speech-demo":
        assert bill.last()["cost"] == len(text) * Decimal(15) / 1_000_000
    with oai.audio.speech.with_streaming_response.create(model=model, voice="alloy", input=text, response_format="mp3") as response:
        assert response.headers["content-type"] == "audio/mpeg" and len(b"".join(response.iter_bytes())) > 0


@pytest.mark.parametrize("model", ["whisper-demo", "transcribe-demo", "azure-demo"])
def test_sound_is_written_down(oai, bill, model):
    answer = oai.audio.transcriptions.create(model=model, file=("speech.wav", wav(3), "audio/wav"))
    assert answer.text
    if model == "whisper-demo":
        assert answer.usage.type == "duration" and answer.usage.seconds >= 3
        assert bill.last()["cost"] == Decimal(answer.usage.seconds) * Decimal("0.006") / 60
    else:
        assert answer.usage.type == "tokens" and answer.usage.input_token_details.audio_tokens >= 30


def test_sound_is_written_down_as_it_is_heard(oai):
    file = ("speech.wav", wav(), "audio/wav")
    events = list(oai.audio.transcriptions.create(model="transcribe-demo", file=file, stream=True))
    assert "".join(event.delta for event in events[:-1]) == events[-1].text
    assert events[-1].text == oai.audio.transcriptions.create(model="transcribe-demo", file=file).text


@pytest.mark.parametrize("form", ["text", "srt", "vtt", "verbose_json"])
def test_sound_is_written_down_in_every_form(oai, bill, form):
    bill.counted = form != "verbose_json"
    answer = oai.audio.transcriptions.create(model="whisper-demo", file=("speech.wav", wav(), "audio/wav"), response_format=form)
    assert answer.segments and answer.duration >= 2 if form == "verbose_json" else isinstance(answer, str) and answer.strip()


@pytest.mark.filterwarnings("ignore:deprecated")
def test_sound_is_translated(oai):
    assert oai.audio.translations.create(model="whisper-demo", file=("speech.wav", wav(), "audio/wav")).text


def test_moderation(oai, bill):
    bill.counted = True
    answer = oai.moderations.create(model="moderation-demo", input=["All is well", "violence!"])
    assert [result.flagged for result in answer.results] == [False, True]
    assert bill.last()["cost"] == Decimal("0.0001")


def test_reranking(oai, bill):
    body = {"model": "rerank-demo", "query": "Which ships float?", "documents": ["The sky is blue.", "Most ships float."], "top_n": 1}
    [best] = oai.post("/rerank", body=body, cast_to=object)["results"]
    assert best["index"] == 1
    assert bill.last()["cost"] == Decimal("0.002")


def test_models(oai):
    names = {model.id for model in oai.models.list()}
    assert {*MODELS.values(), *EMBEDDING, "image-demo", "speech-demo", "whisper-demo", "moderation-demo", "rerank-demo"} <= names
    assert all(oai.models.retrieve(model).id == model for model in MODELS.values())
