-- Plans that a payment provider renews.

-- When the provider is told again of what was wished here, and how often that was tried in vain.
ALTER TABLE plan_subscription ADD COLUMN tell_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE plan_subscription ADD COLUMN tell_tries BIGINT NOT NULL DEFAULT 0;
-- When the provider is asked again what became of a renewal of which nothing was heard.
ALTER TABLE plan_subscription ADD COLUMN look_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX plan_subscription_overdue ON plan_subscription (paid_until) WHERE state <> 'ended' AND external_id IS NOT NULL;

-- Bills of subscriptions that could not be collected.
CREATE TABLE unpaid_bill (
    provider TEXT NOT NULL,
    -- The provider's id.
    bill TEXT NOT NULL,
    subscription_id BIGINT NOT NULL REFERENCES plan_subscription (id),
    -- Minor units of the currency.
    amount BIGINT NOT NULL CHECK (amount >= 0),
    currency TEXT NOT NULL,
    -- How often it was tried; each try is told to the customer once.
    attempts BIGINT NOT NULL,
    -- When it is tried next. Null: not any more.
    next_attempt_at BIGINT,
    -- The provider's page on which it can be paid.
    page TEXT,
    created_at BIGINT NOT NULL,
    -- When it was paid, or nobody waits for it any more.
    closed_at BIGINT,
    PRIMARY KEY (provider, bill)
);
CREATE INDEX unpaid_bill_open ON unpaid_bill (subscription_id) WHERE closed_at IS NULL;
