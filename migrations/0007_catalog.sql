-- Prices of the rarer kinds and of long inputs: a JSON object of decimal texts (src/kernel/pricing.rs). Null: none is set, as in every row before.
ALTER TABLE price ADD COLUMN rare TEXT;

ALTER TABLE model ADD COLUMN context_length BIGINT CHECK (context_length > 0);
-- How long an answer is kept for identical requests, in milliseconds. Null: not at all.
ALTER TABLE model ADD COLUMN cache_ttl BIGINT CHECK (cache_ttl > 0);
-- 1: every answer is kept; 0: only those to requests at temperature 0.
ALTER TABLE model ADD COLUMN cache_always BIGINT NOT NULL DEFAULT 0;
-- The share of the full price that a kept answer costs, in millionths.
ALTER TABLE model ADD COLUMN cache_factor BIGINT NOT NULL DEFAULT 0 CHECK (0 <= cache_factor AND cache_factor <= 1000000);
-- 1: one customer may get what another has paid for.
ALTER TABLE model ADD COLUMN cache_shared BIGINT NOT NULL DEFAULT 0;

-- What was asked for, in a short word. Null in rows before: a chat completion.
ALTER TABLE request ADD COLUMN operation TEXT;
-- The kinds of tokens inside the four columns that may have a price of their own, and what is not counted in tokens: a JSON object of counts. Null: there are none.
ALTER TABLE request ADD COLUMN parts TEXT;
-- The price row in force when the request began.
ALTER TABLE request ADD COLUMN price_id BIGINT;
-- What the upstream asks for it by the channel's own prices, in nano-dollars. Null: the channel has none.
ALTER TABLE request ADD COLUMN upstream_cost BIGINT;
-- The model's name at the upstream. Null: the same.
ALTER TABLE request ADD COLUMN upstream_model TEXT;
-- Why this channel, for admins. Null: nothing to explain.
ALTER TABLE request ADD COLUMN route TEXT;
