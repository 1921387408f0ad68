CREATE TABLE gift_card_batch (
    id BIGINT PRIMARY KEY,
    amount BIGINT NOT NULL CHECK (amount > 0),
    count BIGINT NOT NULL CHECK (count > 0),
    note TEXT NOT NULL,
    -- Until when the cards can be redeemed.
    expires_at BIGINT NOT NULL,
    created_by BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- Only a hash of the code is kept, and its last letters to find it by.
CREATE TABLE gift_card (
    id BIGINT PRIMARY KEY,
    batch_id BIGINT NOT NULL REFERENCES gift_card_batch (id),
    hash TEXT NOT NULL UNIQUE,
    tail TEXT NOT NULL,
    redeemed_by BIGINT,
    redeemed_at BIGINT,
    voided_at BIGINT,
    CHECK (redeemed_by IS NULL OR voided_at IS NULL),
    CHECK ((redeemed_by IS NULL) = (redeemed_at IS NULL))
);
CREATE INDEX gift_card_batch_id ON gift_card (batch_id, id);
-- A batch's counts, without a look at every card.
CREATE INDEX gift_card_redeemed ON gift_card (batch_id) WHERE redeemed_by IS NOT NULL;
CREATE INDEX gift_card_voided ON gift_card (batch_id) WHERE voided_at IS NOT NULL;
