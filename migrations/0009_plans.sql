-- What can be bought. Whoever has bought a plan keeps the version of its terms: an edit makes a new one.
CREATE TABLE plan (
    id BIGINT PRIMARY KEY,
    -- The terms that are sold now.
    version_id BIGINT NOT NULL,
    visibility TEXT NOT NULL CHECK (visibility IN ('public', 'link', 'off')),
    sort BIGINT NOT NULL,
    badge TEXT NOT NULL,
    -- How often it can be bought in all, and by one customer. Null: as often as somebody likes.
    stock BIGINT CHECK (stock >= 0),
    per_customer BIGINT CHECK (per_customer > 0),
    -- How often it was bought or is reserved. Its row's lock orders those who buy.
    taken BIGINT NOT NULL DEFAULT 0 CHECK (0 <= taken),
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Terms as JSON (src/plans/terms.rs). Append-only.
CREATE TABLE plan_version (
    id BIGINT PRIMARY KEY,
    plan_id BIGINT NOT NULL REFERENCES plan (id),
    terms TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX plan_version_plan ON plan_version (plan_id, id);

-- One for each order of a plan: reserved, then released or activated.
CREATE TABLE plan_reservation (
    order_id BIGINT PRIMARY KEY,
    plan_id BIGINT NOT NULL REFERENCES plan (id),
    version_id BIGINT NOT NULL REFERENCES plan_version (id),
    user_id BIGINT NOT NULL,
    trial_days BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'released', 'activated')),
    -- 1: it was paid after it had been released, and honoured all the same.
    late BIGINT NOT NULL DEFAULT 0 CHECK (late IN (0, 1)),
    created_at BIGINT NOT NULL,
    ended_at BIGINT
);
CREATE INDEX plan_reservation_customer ON plan_reservation (plan_id, user_id) WHERE state <> 'released';

CREATE TABLE plan_subscription (
    id BIGINT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    plan_id BIGINT NOT NULL REFERENCES plan (id),
    state TEXT NOT NULL CHECK (state IN ('active', 'past_due', 'ended')),
    -- What the payment provider calls the subscription that renews it. Null: it ends by itself.
    external_id TEXT UNIQUE,
    -- Whose calendar counts.
    zone TEXT NOT NULL,
    starts_at BIGINT NOT NULL,
    -- Where the last term ends.
    paid_until BIGINT NOT NULL,
    -- Since when it is not to be renewed.
    cancelled_at BIGINT,
    -- The terms that the next renewal begins with. Null: the same again.
    next_version_id BIGINT REFERENCES plan_version (id),
    -- 1: the payment provider has yet to be told of a cancellation, a resumption or a change.
    untold BIGINT NOT NULL DEFAULT 0 CHECK (untold IN (0, 1)),
    -- The number of the first period that has not been opened.
    next_period BIGINT NOT NULL,
    ended_at BIGINT,
    -- When there is something to do.
    due_at BIGINT NOT NULL,
    -- The "plans" revision in which it last changed: snapshots read what is newer than what they have.
    revision BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX plan_subscription_user ON plan_subscription (user_id, id);
CREATE INDEX plan_subscription_plan ON plan_subscription (plan_id) WHERE state <> 'ended';
CREATE INDEX plan_subscription_due ON plan_subscription (due_at) WHERE state <> 'ended';
CREATE INDEX plan_subscription_revision ON plan_subscription (revision);
CREATE INDEX plan_subscription_untold ON plan_subscription (id) WHERE untold = 1;

-- What was paid for: one row for each purchase and each renewal.
CREATE TABLE plan_term (
    subscription_id BIGINT NOT NULL REFERENCES plan_subscription (id),
    number BIGINT NOT NULL,
    version_id BIGINT NOT NULL REFERENCES plan_version (id),
    -- Terms of one length are counted from the first one's beginning; this one is the so-manieth of them.
    anchor BIGINT NOT NULL,
    course BIGINT NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    -- What was paid, in nano-dollars; its periods share it.
    paid BIGINT NOT NULL CHECK (paid >= 0),
    periods BIGINT NOT NULL CHECK (periods > 0),
    first_period BIGINT NOT NULL,
    trial BIGINT NOT NULL CHECK (trial IN (0, 1)),
    -- The order or the invoice: each makes one term.
    source TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (subscription_id, number)
);

-- A stretch of a term with an allowance of its own. Opened when it begins, once; closed when it has ended.
CREATE TABLE plan_period (
    subscription_id BIGINT NOT NULL REFERENCES plan_subscription (id),
    number BIGINT NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    -- Its share of what was paid, and how much of that the allowance took; the rest is earned when it closes.
    share BIGINT NOT NULL CHECK (share >= 0),
    spent BIGINT NOT NULL CHECK (0 <= spent AND spent <= share),
    -- The credit out of what was paid, and the one that the shop gives on top.
    credit_id BIGINT,
    bonus_id BIGINT,
    opened_at BIGINT NOT NULL,
    closed_at BIGINT,
    PRIMARY KEY (subscription_id, number)
);

-- The plan whose allowance pays for a request, and by what that multiplies prices, in millionths. Null: none, and nothing.
ALTER TABLE request ADD COLUMN plan_id BIGINT;
ALTER TABLE request ADD COLUMN price_factor BIGINT;
