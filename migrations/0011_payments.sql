-- What is bought. The row exists before its buyer leaves the site. Amounts in `currency` are in its minor units, the rest is nano-dollars of credit.
CREATE TABLE orders (
    id BIGINT PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id),
    what TEXT NOT NULL CHECK (what IN ('top_up', 'plan', 'gift_card')),
    -- The plan.
    item BIGINT,
    -- What else there is to know of it.
    details TEXT NOT NULL,
    title TEXT NOT NULL,
    language TEXT NOT NULL,
    -- 'balance', 'free', or the provider's word.
    method TEXT NOT NULL,
    currency TEXT NOT NULL,
    list_price BIGINT NOT NULL CHECK (list_price >= 0),
    price BIGINT NOT NULL CHECK (0 <= price AND price <= list_price),
    -- Billionths of a unit of the currency for one dollar of credit.
    rate BIGINT NOT NULL CHECK (rate > 0),
    -- What it is worth in dollars of credit before any coupon, what of that the price pays for, and what is given on top.
    worth BIGINT NOT NULL CHECK (worth >= 0),
    credit BIGINT NOT NULL CHECK (credit >= 0),
    bonus BIGINT NOT NULL CHECK (bonus >= 0),
    state TEXT NOT NULL CHECK (state IN ('pending', 'paid', 'expired', 'failed', 'refunded', 'partly_refunded', 'disputed')),
    -- The provider's ids.
    checkout TEXT,
    checkout_url TEXT,
    payment TEXT,
    subscription TEXT,
    -- The credits that it became.
    credit_id BIGINT,
    bonus_id BIGINT,
    -- How much of the price went back, or is going back.
    refunded BIGINT NOT NULL DEFAULT 0 CHECK (0 <= refunded AND refunded <= price),
    -- What an admin should know.
    note TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- When the provider is asked what became of it, if no message tells.
    next_look_at BIGINT NOT NULL,
    paid_at BIGINT,
    ended_at BIGINT
);
CREATE INDEX orders_user ON orders (user_id, id);
CREATE INDEX orders_pending ON orders (next_look_at) WHERE state = 'pending';
CREATE INDEX orders_state ON orders (state, id);
CREATE UNIQUE INDEX orders_checkout ON orders (method, checkout) WHERE checkout IS NOT NULL;
CREATE UNIQUE INDEX orders_payment ON orders (method, payment) WHERE payment IS NOT NULL;

-- Which customer at the provider is ours.
CREATE TABLE provider_customer (
    user_id BIGINT NOT NULL REFERENCES users (id),
    provider TEXT NOT NULL,
    customer TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, provider)
);
CREATE UNIQUE INDEX provider_customer_theirs ON provider_customer (provider, customer);

-- Messages of providers: stored before anything is done about them, each handled once.
CREATE TABLE payment_event (
    id BIGINT PRIMARY KEY,
    provider TEXT NOT NULL,
    event TEXT NOT NULL,
    kind TEXT NOT NULL,
    raw TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('new', 'done', 'ignored', 'refused')),
    -- How it came: 'message', or 'fetched' because the message was lost.
    source TEXT NOT NULL,
    -- When it happened, by the provider's clock.
    created_at BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    handled_at BIGINT,
    attempts BIGINT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT NOT NULL,
    -- What was wrong with it.
    error TEXT,
    order_id BIGINT
);
CREATE UNIQUE INDEX payment_event_theirs ON payment_event (provider, event);
CREATE INDEX payment_event_new ON payment_event (next_attempt_at) WHERE state = 'new';
CREATE INDEX payment_event_order ON payment_event (order_id) WHERE order_id IS NOT NULL;

-- Money that goes back. 'taking': the credit is frozen and waits for requests in flight; 'sending': the credit was taken, the provider is told.
CREATE TABLE refund (
    id BIGINT PRIMARY KEY,
    order_id BIGINT NOT NULL REFERENCES orders (id),
    amount BIGINT NOT NULL CHECK (amount > 0),
    -- What becomes of what was spent: 'owed' or 'lost'.
    spent TEXT NOT NULL CHECK (spent IN ('owed', 'lost')),
    state TEXT NOT NULL CHECK (state IN ('taking', 'sending', 'done', 'failed')),
    -- The provider made it by itself, or somebody on its pages.
    is_theirs BIGINT NOT NULL CHECK (is_theirs IN (0, 1)),
    provider_refund TEXT,
    reason TEXT NOT NULL,
    actor_id BIGINT,
    unspent BIGINT NOT NULL DEFAULT 0,
    owed BIGINT NOT NULL DEFAULT 0,
    lost BIGINT NOT NULL DEFAULT 0,
    bonus BIGINT NOT NULL DEFAULT 0,
    error TEXT,
    created_at BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    done_at BIGINT
);
CREATE INDEX refund_order ON refund (order_id, id);
CREATE INDEX refund_open ON refund (next_attempt_at) WHERE state IN ('taking', 'sending');

-- Payments that a customer's bank wants back.
CREATE TABLE dispute (
    id BIGINT PRIMARY KEY,
    order_id BIGINT NOT NULL REFERENCES orders (id),
    provider TEXT NOT NULL,
    theirs TEXT NOT NULL,
    amount BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('inquiry', 'open', 'won', 'lost')),
    -- The credit of a lost one was taken.
    is_settled BIGINT NOT NULL DEFAULT 0 CHECK (is_settled IN (0, 1)),
    reason TEXT NOT NULL,
    answer_by BIGINT,
    unspent BIGINT NOT NULL DEFAULT 0,
    owed BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    next_attempt_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE UNIQUE INDEX dispute_theirs ON dispute (provider, theirs);
CREATE INDEX dispute_order ON dispute (order_id);
CREATE INDEX dispute_unsettled ON dispute (next_attempt_at) WHERE state = 'lost' AND is_settled = 0;
