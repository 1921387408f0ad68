-- What a customer's bank wants back is kept where it is until the bank has decided.

-- 1: the credit of its periods is frozen, also of those that begin meanwhile.
ALTER TABLE plan_term ADD COLUMN frozen BIGINT NOT NULL DEFAULT 0 CHECK (frozen IN (0, 1));
-- Since when nobody can redeem a card, and its letter is not mailed.
ALTER TABLE gift_card ADD COLUMN held_at BIGINT;
ALTER TABLE gift_card_sale ADD COLUMN held_at BIGINT;
