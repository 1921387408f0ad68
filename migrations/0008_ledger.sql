-- What a credit pays for: 0 for everything, else the subscription to a plan whose models it covers.
ALTER TABLE credit ADD COLUMN scope BIGINT NOT NULL DEFAULT 0;
-- A credit that is frozen, because its payment is disputed or goes back, is not effective: this is when it was and when it was frozen.
ALTER TABLE credit ADD COLUMN frozen_from BIGINT;
ALTER TABLE credit ADD COLUMN frozen_at BIGINT;
