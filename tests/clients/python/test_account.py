"""What a key can ask about the shop: its models, its balance, its usage."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal

import openai
import pytest

from shop import billing, spent


def day(offset):
    return (datetime.now(timezone.utc) + timedelta(days=offset)).strftime("%Y-%m-%d")


def test_the_models_on_sale_are_listed(client):
    models = list(client.models.list())
    assert "demo-chat" in [model.id for model in models]
    assert {model.object for model in models} == {"model"}


def test_one_model_can_be_looked_up(client):
    assert client.models.retrieve("demo-chat").id == "demo-chat"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_usage_in_cents_and_the_limit_in_dollars_are_told(shop, client):
    before = billing(shop.url, shop.key, "subscription")
    assert before["hard_limit_usd"] > 0
    raw = client.chat.completions.with_raw_response.create(model="demo-chat", messages=[{"role": "user", "content": "Hi"}])
    cost = Decimal(raw.headers["x-farebox-cost-usd"])
    assert spent(shop) >= cost
    after = billing(shop.url, shop.key, "subscription")
    assert after["hard_limit_usd"] == before["hard_limit_usd"], "the limit is what there was to spend in all, not what is left"


def test_usage_is_told_for_a_range_of_days(shop, client):
    client.chat.completions.create(model="demo-chat", messages=[{"role": "user", "content": "Hi"}])
    recent = billing(shop.url, shop.key, "usage", start_date=day(-1), end_date=day(2))
    assert recent["total_usage"] == billing(shop.url, shop.key, "usage")["total_usage"] > 0
    assert billing(shop.url, shop.key, "usage", start_date=day(-40), end_date=day(-30))["total_usage"] == 0


def test_the_sdk_itself_can_ask(client):
    assert client.get("/dashboard/billing/subscription", cast_to=object)["hard_limit_usd"] > 0
    assert client.get("/dashboard/billing/usage", cast_to=object)["total_usage"] >= 0
