import anthropic
import openai
import pytest
from google import genai

from common import Bill
from shop import Shop, spent


@pytest.fixture(scope="session")
def shop():
    with Shop() as shop:
        yield shop


@pytest.fixture
def client(shop):
    # No retries: an error that the SDK repeats in silence would be counted twice and seen late.
    with openai.OpenAI(base_url=f"{shop.url}/v1", api_key=shop.key, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def bill(shop):
    """Checked when the test has ended."""
    bill = Bill(shop, spent)
    yield bill
    bill.check()


def openai_client(shop, bill, strict):
    http = openai.DefaultHttpxClient(event_hooks=bill.hooks)
    return openai.OpenAI(
        base_url=f"{shop.url}/v1", api_key=shop.key, max_retries=0, timeout=60, http_client=http, _strict_response_validation=strict
    )


@pytest.fixture
def oai(shop, bill, request):
    """OpenAI's SDK, which here also objects to an answer of another form than it expects; but Azure's streams begin with a chunk that names no kind."""
    callspec = getattr(request.node, "callspec", None)
    with openai_client(shop, bill, callspec is None or callspec.params.get("kind") != "azure") as client:
        yield client


@pytest.fixture
def lenient(shop, bill):
    """The same, for answers that OpenAI itself gives in another form than its SDK says."""
    with openai_client(shop, bill, False) as client:
        yield client


@pytest.fixture
def claude(shop, bill):
    """Anthropic's SDK, as strict."""
    http = anthropic.DefaultHttpxClient(event_hooks=bill.hooks)
    with anthropic.Anthropic(
        base_url=shop.url, api_key=shop.key, max_retries=0, timeout=60, http_client=http, _strict_response_validation=True
    ) as client:
        yield client


@pytest.fixture
def gem(shop, bill):
    """Google's SDK, at the version of the API that its documentation asks for."""
    options = genai.types.HttpOptions(base_url=shop.url, api_version="v1beta", client_args={"event_hooks": bill.hooks}, timeout=60_000)
    with genai.Client(api_key=shop.key, http_options=options) as client:
        yield client
