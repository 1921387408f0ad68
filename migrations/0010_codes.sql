-- Gift cards of every origin, coupons, and customers who bring others.

-- The plan that a card of the batch activates; null when it gives credit. `amount` is what a card is worth in the books in either case.
ALTER TABLE gift_card_batch ADD COLUMN plan_id BIGINT;
-- Stands before the codes of the batch; it is for people only.
ALTER TABLE gift_card_batch ADD COLUMN prefix TEXT NOT NULL DEFAULT '';
-- How many cards of the batch one customer may redeem; null for as many as they like.
ALTER TABLE gift_card_batch ADD COLUMN per_customer BIGINT CHECK (per_customer > 0);
-- given (away), sold (elsewhere) or bought (by a customer of the shop: one card, with a row in gift_card_sale).
ALTER TABLE gift_card_batch ADD COLUMN origin TEXT NOT NULL DEFAULT 'given' CHECK (origin IN ('given', 'sold', 'bought'));
-- A large batch is made in portions: how many cards there are by now, and since when no more are to be made.
ALTER TABLE gift_card_batch ADD COLUMN made BIGINT NOT NULL DEFAULT 0;
ALTER TABLE gift_card_batch ADD COLUMN stopped_at BIGINT;
-- Its codes are shown once and downloaded once; until when they are kept, sealed, for that. Null: none are kept.
ALTER TABLE gift_card_batch ADD COLUMN shown_at BIGINT;
ALTER TABLE gift_card_batch ADD COLUMN downloaded_at BIGINT;
ALTER TABLE gift_card_batch ADD COLUMN sealed_until BIGINT;
UPDATE gift_card_batch SET made = count, shown_at = created_at, downloaded_at = created_at;
CREATE INDEX gift_card_batch_unmade ON gift_card_batch (id) WHERE made < count AND stopped_at IS NULL;
CREATE INDEX gift_card_batch_sealed ON gift_card_batch (sealed_until) WHERE sealed_until IS NOT NULL;
CREATE INDEX gift_card_batch_origin ON gift_card_batch (origin, id);

CREATE INDEX gift_card_tail ON gift_card (tail, id);
CREATE INDEX gift_card_redeemer ON gift_card (redeemed_by, redeemed_at, id) WHERE redeemed_by IS NOT NULL;

-- A portion's codes, one per line, sealed with APP_SECRET. Gone when they were fetched, or when nobody came for them in time.
CREATE TABLE gift_card_sealed (
    batch_id BIGINT NOT NULL REFERENCES gift_card_batch (id),
    part BIGINT NOT NULL,
    codes TEXT NOT NULL,
    PRIMARY KEY (batch_id, part)
);

-- How many cards of a batch with a limit a customer has redeemed: the row's lock orders them.
CREATE TABLE gift_card_count (
    batch_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    n BIGINT NOT NULL CHECK (n > 0),
    PRIMARY KEY (batch_id, user_id)
);

-- A card that a customer has paid for. The code comes into being when it is mailed.
CREATE TABLE gift_card_sale (
    order_id BIGINT PRIMARY KEY,
    buyer_id BIGINT NOT NULL,
    amount BIGINT NOT NULL CHECK (amount > 0),
    recipient TEXT NOT NULL,
    giver TEXT NOT NULL,
    message TEXT NOT NULL,
    locale TEXT NOT NULL,
    deliver_at BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    -- The card that was mailed last; earlier ones are void.
    card_id BIGINT,
    delivered_at BIGINT,
    recalled_at BIGINT
);
CREATE INDEX gift_card_sale_due ON gift_card_sale (deliver_at) WHERE delivered_at IS NULL AND recalled_at IS NULL;
CREATE INDEX gift_card_sale_buyer ON gift_card_sale (buyer_id, order_id);

CREATE TABLE coupon (
    id BIGINT PRIMARY KEY,
    -- As it is shown, and as it is compared.
    code TEXT NOT NULL,
    code_key TEXT NOT NULL UNIQUE,
    note TEXT NOT NULL,
    -- percent (hundredths of a percent), amount (JSON: minor units by currency) or bonus (nano-dollars of credit).
    kind TEXT NOT NULL CHECK (kind IN ('percent', 'amount', 'bonus')),
    percent BIGINT NOT NULL DEFAULT 0 CHECK (0 <= percent AND percent <= 10000),
    amounts TEXT NOT NULL DEFAULT '{}',
    bonus BIGINT NOT NULL DEFAULT 0 CHECK (bonus >= 0),
    -- JSON of minor units by currency: what a purchase must come to at least.
    minimums TEXT NOT NULL DEFAULT '{}',
    -- What it is good for, JSON (src/coupons/terms.rs).
    applies TEXT NOT NULL,
    first_only BIGINT NOT NULL,
    starts_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    total_limit BIGINT CHECK (total_limit > 0),
    per_customer BIGINT CHECK (per_customer > 0),
    enabled BIGINT NOT NULL,
    -- How often it is reserved or used by now, and how often used.
    taken BIGINT NOT NULL DEFAULT 0 CHECK (taken >= 0),
    used BIGINT NOT NULL DEFAULT 0 CHECK (used >= 0),
    created_by BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- How often a customer has reserved or used a coupon that limits it.
CREATE TABLE coupon_count (
    coupon_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    n BIGINT NOT NULL CHECK (n >= 0),
    PRIMARY KEY (coupon_id, user_id)
);

-- The one order of a customer that is on its way as their first, with a coupon for first purchases.
CREATE TABLE coupon_first (
    user_id BIGINT PRIMARY KEY,
    order_id BIGINT NOT NULL
);

CREATE TABLE coupon_use (
    order_id BIGINT PRIMARY KEY,
    coupon_id BIGINT NOT NULL REFERENCES coupon (id),
    user_id BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'used', 'released')),
    currency TEXT NOT NULL,
    -- Minor units taken off, and nano-dollars of credit given on top.
    off BIGINT NOT NULL CHECK (off >= 0),
    bonus BIGINT NOT NULL CHECK (bonus >= 0),
    at BIGINT NOT NULL
);
CREATE INDEX coupon_use_coupon ON coupon_use (coupon_id, order_id);
CREATE INDEX coupon_use_user ON coupon_use (user_id, order_id);

-- Who has a link to bring others, and how often it was rewarded.
CREATE TABLE referrer (
    user_id BIGINT PRIMARY KEY,
    code TEXT NOT NULL UNIQUE,
    -- A keyed hash of the network address from which the link was made.
    source TEXT NOT NULL,
    rewarded BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL
);

CREATE TABLE referral (
    -- Who came.
    user_id BIGINT PRIMARY KEY,
    referrer_id BIGINT NOT NULL REFERENCES referrer (user_id),
    -- The mailbox behind the address: one person comes once.
    person TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    -- 1: from the address of the referrer, or of another who came by the same link. For the admin to look at.
    same_source BIGINT NOT NULL,
    -- joined, then held by the first paid order that is large enough, then granted; or undone.
    state TEXT NOT NULL CHECK (state IN ('joined', 'held', 'granted', 'undone')),
    joined_at BIGINT NOT NULL,
    order_id BIGINT,
    due_at BIGINT,
    -- What was promised when the order was paid, in nano-dollars.
    reward BIGINT NOT NULL DEFAULT 0,
    welcome BIGINT NOT NULL DEFAULT 0,
    -- 1: the referrer got theirs; 0 with `granted`: they had got all that they may.
    rewarded BIGINT NOT NULL DEFAULT 0,
    ended_at BIGINT
);
CREATE INDEX referral_referrer ON referral (referrer_id, user_id);
CREATE INDEX referral_order ON referral (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX referral_due ON referral (due_at) WHERE state = 'held';

-- Who was invited says so when they prove their address: the code and the keyed hash of where they signed up.
ALTER TABLE auth_token ADD COLUMN invitation TEXT;
