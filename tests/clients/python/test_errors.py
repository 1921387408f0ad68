"""What goes wrong arrives as the SDK's own typed exceptions, and is free."""

from decimal import Decimal

import openai
import pytest

from shop import Visitor, spent

MESSAGES = [{"role": "user", "content": "Hi [[tokens=5]]"}]


def ask(client, **more):
    return client.chat.completions.create(**{"model": "demo-chat", "messages": MESSAGES} | more)


@pytest.mark.parametrize("change", [lambda key: key[:-1] + ("A" if key[-1] != "A" else "B"), lambda _: "sk-nonsense", lambda _: "not a key"])
def test_a_wrong_key_is_an_authentication_error(shop, client, change):
    with pytest.raises(openai.AuthenticationError) as caught:
        ask(client.with_options(api_key=change(shop.key)))
    assert caught.value.status_code == 401
    assert (caught.value.code, caught.value.type) == ("invalid_api_key", "authentication_error")
    assert caught.value.request_id


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        ask(client, model="no-such-model")
    assert (caught.value.code, caught.value.type) == ("model_not_found", "invalid_request_error")
    assert "no-such-model" in caught.value.message
    assert caught.value.request_id


@pytest.mark.parametrize(
    "wrong",
    [{"max_tokens": -1}, {"max_tokens": 10**30}, {"max_tokens": "many"}, {"n": 0}, {"n": 10**9}, {"model": ""}, {"messages": []}, {"stream": "yes"}],
    ids=str,
)
def test_a_request_that_makes_no_sense_is_a_bad_request_and_free(shop, client, wrong):
    before = spent(shop)
    with pytest.raises(openai.BadRequestError) as caught:
        ask(client, **wrong)
    assert caught.value.type == "invalid_request_error"
    assert spent(shop) == before


def test_an_exhausted_key_is_a_402_that_says_so(shop, client):
    visitor = Visitor(shop)
    visitor.log_in(**shop.facts["customer"])
    poor = client.with_options(api_key=visitor.new_key("a drop", budget="0.000001"))
    before = spent(shop)
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError) as caught:
            ask(poor, stream=stream)
        assert caught.value.status_code == 402
        assert type(caught.value) is openai.APIStatusError, "the SDK has no class of its own for a 402"
        assert (caught.value.code, caught.value.type) == ("key_budget_exhausted", "insufficient_quota")
        assert caught.value.request_id
    assert spent(shop) == before


def test_a_prompt_that_costs_more_than_the_balance_is_a_402_and_free(shop, client):
    before = spent(shop)
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, messages=[{"role": "user", "content": "word " * 2_500_000}])
    assert caught.value.status_code == 402
    assert type(caught.value) is openai.APIStatusError
    assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")
    assert spent(shop) == before


def test_a_customer_without_money_gets_a_402_until_a_gift_card_is_redeemed(shop, client):
    visitor, account = Visitor(shop), {"email": "new@example.com", "password": "long enough to be a good one"}
    visitor.sign_up(**account)
    visitor.log_in(**account)
    broke = client.with_options(api_key=visitor.new_key("first"))
    with pytest.raises(openai.APIStatusError) as caught:
        ask(broke)
    assert caught.value.status_code == 402
    assert (caught.value.code, caught.value.type) == ("insufficient_quota", "insufficient_quota")
    assert shop.url in caught.value.message, "the message says where to pay"
    visitor.submit(visitor.get("/account"), "/account/redeem", code=shop.facts["gift_cards"][-1])
    assert ask(broke).usage.completion_tokens == 5


def test_what_the_upstream_says_of_itself_stays_inside(shop, client):
    before = spent(shop)
    with pytest.raises(openai.APIStatusError) as caught:
        ask(client, messages=[{"role": "user", "content": "Hi [[500]]"}])
    assert caught.value.status_code in (502, 503)
    assert isinstance(caught.value, openai.InternalServerError)
    assert "org-upstream" not in str(caught.value.body)
    assert spent(shop) == before


def test_a_stream_that_breaks_raises_and_charges_what_arrived(shop, client):
    before = spent(shop)
    stream = ask(client, messages=[{"role": "user", "content": "Hi [[tokens=400, cut=5]]"}], stream=True)
    text = ""
    with pytest.raises(openai.APIError):
        for chunk in stream:
            text += chunk.choices[0].delta.content or ""
    assert text
    whole = client.chat.completions.with_raw_response.create(model="demo-chat", messages=[{"role": "user", "content": "Hi [[tokens=100]]"}])
    cost = Decimal(whole.headers["x-farebox-cost-usd"])
    assert 0 < spent(shop) - before - cost < cost
