-- Budgets per day, week and month. Each row says what was spent in all and, for each period (numbered from 1970-01-01; weeks begin on Monday,
-- all in UTC), which one runs and what had been spent when it began. What a customer has in flight is the sum of the credits' held.
ALTER TABLE wallet ADD COLUMN spent BIGINT NOT NULL DEFAULT 0 CHECK (0 <= spent);
ALTER TABLE wallet ADD COLUMN day BIGINT NOT NULL DEFAULT 0;
ALTER TABLE wallet ADD COLUMN day_start BIGINT NOT NULL DEFAULT 0;
ALTER TABLE wallet ADD COLUMN week BIGINT NOT NULL DEFAULT 0;
ALTER TABLE wallet ADD COLUMN week_start BIGINT NOT NULL DEFAULT 0;
ALTER TABLE wallet ADD COLUMN month BIGINT NOT NULL DEFAULT 0;
ALTER TABLE wallet ADD COLUMN month_start BIGINT NOT NULL DEFAULT 0;
-- The periods count what was charged from this unix millisecond on: the columns are younger than some charges.
ALTER TABLE wallet ADD COLUMN counted_from BIGINT NOT NULL DEFAULT 0;

ALTER TABLE key_meter ADD COLUMN day BIGINT NOT NULL DEFAULT 0;
ALTER TABLE key_meter ADD COLUMN day_start BIGINT NOT NULL DEFAULT 0;
ALTER TABLE key_meter ADD COLUMN week BIGINT NOT NULL DEFAULT 0;
ALTER TABLE key_meter ADD COLUMN week_start BIGINT NOT NULL DEFAULT 0;
ALTER TABLE key_meter ADD COLUMN month BIGINT NOT NULL DEFAULT 0;
ALTER TABLE key_meter ADD COLUMN month_start BIGINT NOT NULL DEFAULT 0;
ALTER TABLE key_meter ADD COLUMN counted_from BIGINT NOT NULL DEFAULT 0;

UPDATE wallet SET spent = (
    SELECT CAST(COALESCE(SUM(CASE WHEN t.kind = 'correction' THEN -t.amount ELSE t.amount END), 0) AS BIGINT) FROM transfer t
    WHERE t.user_id = wallet.user_id AND t.kind IN ('capture', 'overage', 'overdraft', 'correction')
);
UPDATE wallet SET day_start = spent, week_start = spent, month_start = spent, counted_from = (SELECT COALESCE(MAX(at), 0) + 1 FROM transfer);
UPDATE key_meter SET day_start = spent, week_start = spent, month_start = spent, counted_from = (SELECT COALESCE(MAX(at), 0) + 1 FROM transfer);

-- Which credits have something left. Were that told by `posted`, each charge would take the credit out of both indexes and put it back.
ALTER TABLE credit ADD COLUMN live BIGINT NOT NULL DEFAULT 1 CHECK (live IN (0, 1));
UPDATE credit SET live = 0 WHERE posted = 0;
DROP INDEX credit_user;
DROP INDEX credit_expiry;
CREATE INDEX credit_user ON credit (user_id) WHERE live = 1;
CREATE INDEX credit_expiry ON credit (expires_at) WHERE live = 1;
