-- The ledger. Every account of the books has a number: house accounts under 1000 (src/ledger/accounts.rs), a credit's own id
-- for what the shop owes a customer, a user's id for what a customer owes the shop.

CREATE TABLE wallet (
    user_id BIGINT PRIMARY KEY,
    -- Touched first by whoever changes the wallet: the row's lock orders them.
    version BIGINT NOT NULL,
    -- What the customer owes: the balance of the account with the user's id.
    owed BIGINT NOT NULL CHECK (owed >= 0),
    overdraft_limit BIGINT NOT NULL CHECK (overdraft_limit >= 0),
    created_at BIGINT NOT NULL
);

CREATE TABLE credit (
    id BIGINT PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES wallet (user_id),
    kind TEXT NOT NULL CHECK (kind IN ('gift', 'plan', 'paid')),
    granted BIGINT NOT NULL CHECK (granted > 0),
    posted BIGINT NOT NULL,
    held BIGINT NOT NULL,
    priority BIGINT NOT NULL,
    effective_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    reference TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    CHECK (0 <= held AND held <= posted)
);
CREATE INDEX credit_user ON credit (user_id) WHERE posted > 0;
CREATE INDEX credit_expiry ON credit (expires_at) WHERE posted > 0;

-- Append-only double entry: nothing updates or deletes a row.
CREATE TABLE transfer (
    id BIGINT PRIMARY KEY,
    debit BIGINT NOT NULL,
    credit BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    kind TEXT NOT NULL,
    user_id BIGINT NOT NULL,
    reference TEXT NOT NULL,
    idempotency_key TEXT NOT NULL UNIQUE,
    payload_hash BIGINT NOT NULL,
    at BIGINT NOT NULL,
    CHECK (debit <> credit)
);
CREATE INDEX transfer_user ON transfer (user_id, id);

-- A request's reservation: open, then exactly once ended. captured + released = amount.
CREATE TABLE hold (
    id BIGINT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    key_id BIGINT NOT NULL,
    -- The node that runs the request, and which run of it.
    node BIGINT NOT NULL,
    incarnation BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    -- What the hold is settled at when its node dies: the input's cost, then the last checkpoint.
    checkpoint BIGINT NOT NULL CHECK (0 <= checkpoint),
    -- "credit:amount" parts in spend order, joined by commas.
    legs TEXT NOT NULL,
    -- What the journal needs to describe a request that never came back.
    memo TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'captured', 'released', 'recovered', 'corrected')),
    captured BIGINT NOT NULL CHECK (0 <= captured),
    released BIGINT NOT NULL CHECK (0 <= released),
    created_at BIGINT NOT NULL,
    ended_at BIGINT,
    CHECK (state = 'open' OR captured + released = amount)
);
CREATE INDEX hold_open ON hold (node, incarnation) WHERE state = 'open';

-- What each key has spent and has in flight; a key's total budget is checked against it.
CREATE TABLE key_meter (
    key_id BIGINT PRIMARY KEY,
    spent BIGINT NOT NULL CHECK (0 <= spent),
    held BIGINT NOT NULL CHECK (0 <= held),
    requests BIGINT NOT NULL,
    last_used_at BIGINT
);
