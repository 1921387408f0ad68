-- Who sells, and how documents are numbered and taxed. A change is another row; the newest is in force.
CREATE TABLE invoice_terms (
    id BIGINT PRIMARY KEY,
    -- JSON.
    terms TEXT NOT NULL,
    actor_id BIGINT,
    created_at BIGINT NOT NULL
);

-- The numbers of documents: a prefix, and what comes next. The row's lock is what makes them gapless: whoever takes a number holds it until the document is
-- committed, and gives it back when it is not.
CREATE TABLE invoice_series (
    prefix TEXT PRIMARY KEY,
    -- A number is filled up with zeros to so many.
    digits BIGINT NOT NULL CHECK (digits BETWEEN 1 AND 12),
    first_number BIGINT NOT NULL CHECK (first_number > 0),
    next_number BIGINT NOT NULL CHECK (next_number >= first_number)
);
INSERT INTO invoice_series (prefix, digits, first_number, next_number) VALUES ('R-', 6, 1, 1);
INSERT INTO invoice_series (prefix, digits, first_number, next_number) VALUES ('C-', 6, 1, 1);

-- What a customer wants to read on their documents.
CREATE TABLE billing (
    user_id BIGINT PRIMARY KEY REFERENCES users (id),
    name TEXT NOT NULL,
    address TEXT NOT NULL,
    tax_id TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- Documents, only ever added. Amounts are in minor units of the currency; what is given back is negative.
CREATE TABLE invoice (
    id BIGINT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('invoice', 'credit', 'cancellation')),
    prefix TEXT NOT NULL REFERENCES invoice_series (prefix),
    n BIGINT NOT NULL,
    number TEXT NOT NULL UNIQUE,
    user_id BIGINT NOT NULL REFERENCES users (id),
    order_id BIGINT NOT NULL REFERENCES orders (id),
    -- What it is for: 'order:', 'refund:', 'dispute:' or 'failed-refund:' and an id. There is one document for each.
    cause TEXT NOT NULL UNIQUE,
    -- The document that it corrects.
    about BIGINT REFERENCES invoice (id),
    currency TEXT NOT NULL,
    gross BIGINT NOT NULL,
    tax BIGINT NOT NULL,
    -- Everything that is printed, as JSON.
    document TEXT NOT NULL,
    -- What it is found by, in small letters.
    search TEXT NOT NULL,
    issued_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX invoice_number ON invoice (prefix, n);
CREATE INDEX invoice_user ON invoice (user_id, id);
CREATE INDEX invoice_order ON invoice (order_id, id);

-- A file that goes with a mail: its name, and its bytes in base64.
ALTER TABLE outbox ADD COLUMN attachment_name TEXT;
ALTER TABLE outbox ADD COLUMN attachment TEXT;
