-- What a statement finds of a customer among a million charges of requests.
CREATE INDEX transfer_rare ON transfer (user_id, id) WHERE kind <> 'capture';

-- Days that are over, added up. Everything here can be made again from the transfers. One roll for each day of a zone's calendar: it is made in portions, counts
-- from the moment in which it is 'made', and is 'old' when another one has taken its place.
CREATE TABLE ledger_roll (
    id BIGINT PRIMARY KEY,
    zone TEXT NOT NULL,
    -- 20260301 for March 1, 2026.
    day BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('making', 'made', 'old')),
    -- How many transfers it has added up: rows are never changed, so it is complete as long as there are as many.
    transfers BIGINT NOT NULL,
    -- When that was looked at for the last time.
    checked_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX ledger_roll_day ON ledger_roll (zone, day) WHERE state = 'made';
CREATE INDEX ledger_roll_idle ON ledger_roll (id) WHERE state <> 'made';

-- What moved from account to account: the house's own by their numbers, 100 for all credits of customers, 101 for what customers owe.
CREATE TABLE ledger_roll_sum (
    roll_id BIGINT NOT NULL REFERENCES ledger_roll (id),
    debit BIGINT NOT NULL,
    credit BIGINT NOT NULL,
    kind TEXT NOT NULL,
    amount BIGINT NOT NULL,
    transfers BIGINT NOT NULL,
    PRIMARY KEY (roll_id, debit, credit, kind)
);

-- What each customer's statement has of the day, up to a thousand movements in a row, from the first id to the last.
CREATE TABLE ledger_roll_part (
    roll_id BIGINT NOT NULL REFERENCES ledger_roll (id),
    user_id BIGINT NOT NULL,
    first_id BIGINT NOT NULL,
    last_id BIGINT NOT NULL,
    change BIGINT NOT NULL,
    charged BIGINT NOT NULL,
    added BIGINT NOT NULL,
    charges BIGINT NOT NULL,
    movements BIGINT NOT NULL,
    PRIMARY KEY (roll_id, user_id, first_id)
);
CREATE INDEX ledger_roll_part_user ON ledger_roll_part (user_id, first_id);

-- What upstreams have asked on the days that are over.
CREATE TABLE cost_day (
    zone TEXT NOT NULL,
    day BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    -- Requests that were charged for and whose upstream's price nobody knows.
    unknown BIGINT NOT NULL,
    PRIMARY KEY (zone, day)
);

-- What has moved the provider's account of us, as far as it was read. Amounts are minor units of the currency in which the provider pays out.
CREATE TABLE payment_movement (
    provider TEXT NOT NULL,
    theirs TEXT NOT NULL,
    currency TEXT NOT NULL,
    amount BIGINT NOT NULL,
    -- What it costs us; less than nothing when fees came back.
    cost BIGINT NOT NULL,
    payment TEXT,
    created_at BIGINT NOT NULL,
    read_at BIGINT NOT NULL,
    -- What was posted of it, in nano-dollars. Null: nothing, since its currency has no rate.
    posted BIGINT,
    PRIMARY KEY (provider, theirs)
);
CREATE INDEX payment_movement_time ON payment_movement (provider, created_at);
CREATE INDEX payment_movement_unposted ON payment_movement (provider, created_at) WHERE posted IS NULL;

-- What the reconciliation looks for by time.
CREATE INDEX orders_paid ON orders (method, paid_at) WHERE paid_at IS NOT NULL;
CREATE INDEX refund_made ON refund (created_at);
CREATE INDEX dispute_made ON dispute (provider, created_at);
