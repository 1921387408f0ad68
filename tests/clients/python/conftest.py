import openai
import pytest

from shop import Shop


@pytest.fixture(scope="session")
def shop():
    with Shop() as shop:
        yield shop


@pytest.fixture
def client(shop):
    # No retries: an error that the SDK repeats in silence would be counted twice and seen late.
    with openai.OpenAI(base_url=f"{shop.url}/v1", api_key=shop.key, max_retries=0, timeout=60) as client:
        yield client
