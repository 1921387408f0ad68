-- What somebody waits for a balance to do: to fall below a level, or to rise to it again. src/ledger/watch.
CREATE TABLE tripwire (
    user_id BIGINT NOT NULL,
    -- Whose business it is: 'top_up' or 'notice'.
    purpose TEXT NOT NULL,
    side TEXT NOT NULL CHECK (side IN ('below', 'above', 'none')),
    level BIGINT NOT NULL,
    -- The "balances" revision in which it last changed: the watchers read what is newer than what they have.
    revision BIGINT NOT NULL,
    PRIMARY KEY (user_id, purpose)
);
CREATE INDEX tripwire_revision ON tripwire (revision);

-- When a customer's saved card is charged by itself. Dollars of credit in nano-dollars.
CREATE TABLE automatic_top_up (
    user_id BIGINT PRIMARY KEY REFERENCES users (id),
    is_on BIGINT NOT NULL CHECK (is_on IN (0, 1)),
    below BIGINT NOT NULL CHECK (below > 0),
    amount BIGINT NOT NULL CHECK (amount >= below),
    -- At most so much in one calendar month of the shop.
    monthly BIGINT NOT NULL CHECK (monthly >= amount),
    -- What one costs, in minor units of the currency: what the customer has agreed to.
    currency TEXT NOT NULL,
    price BIGINT NOT NULL CHECK (price > 0),
    agreed_at BIGINT NOT NULL,
    -- How many charges in a row have failed, and why the last one has.
    failures BIGINT NOT NULL DEFAULT 0,
    reason TEXT,
    -- Nothing is charged before this moment; 0 for no pause.
    paused_until BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX automatic_top_up_paused ON automatic_top_up (paused_until) WHERE is_on = 1 AND paused_until > 0;

-- What customers have agreed to, word for word in numbers. Append-only.
CREATE TABLE card_consent (
    id BIGINT PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id),
    terms TEXT NOT NULL,
    given_at BIGINT NOT NULL
);
CREATE INDEX card_consent_user ON card_consent (user_id, id);

-- How far the charge for an order is that no customer has made: 'charging', 'processing', 'confirming', 'declined' (to be given up at the provider), 'done'.
CREATE TABLE automatic_order (
    order_id BIGINT PRIMARY KEY REFERENCES orders (id),
    user_id BIGINT NOT NULL REFERENCES users (id),
    -- The provider's id of the card: the same charge is asked for with the same card.
    card TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('charging', 'processing', 'confirming', 'declined', 'done')),
    reason TEXT,
    -- When the provider was last asked for it.
    asked_at BIGINT NOT NULL
);
-- One at a time for each customer.
CREATE UNIQUE INDEX automatic_order_open ON automatic_order (user_id) WHERE state <> 'done';
CREATE INDEX automatic_order_user ON automatic_order (user_id, order_id);

-- What a customer wants to be told. Who has no row has the shop's defaults.
CREATE TABLE notice_choice (
    user_id BIGINT PRIMARY KEY REFERENCES users (id),
    -- When the balance falls below so much. Null: never.
    low_below BIGINT CHECK (low_below > 0),
    -- So many days before credit expires, and before a plan ends. 0: never.
    expiry_days BIGINT NOT NULL CHECK (expiry_days >= 0),
    plan_days BIGINT NOT NULL CHECK (plan_days >= 0)
);

-- What was told, once.
CREATE TABLE notice_sent (
    -- What it was about: 'credit:{id}:{expires_at}', 'plan:{subscription}:{paid_until}'.
    about TEXT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    sent_at BIGINT NOT NULL
);
