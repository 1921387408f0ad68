-- Money is nano-dollars, time unix milliseconds, flags 0 or 1, "never" is 9223372036854775807. Ids and time come from the program.

-- Running nodes. A slot is part of every id that its node makes; a node whose heartbeat stops is recovered by another.
CREATE TABLE node (
    slot BIGINT PRIMARY KEY,
    incarnation BIGINT NOT NULL,
    started_at BIGINT NOT NULL,
    heartbeat_at BIGINT NOT NULL,
    stopped_at BIGINT
);

-- Who runs a periodic job now: one runner per cluster.
CREATE TABLE job_lease (
    name TEXT PRIMARY KEY,
    holder BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);

-- What the in-memory snapshots follow: a topic's number grows with every change to it.
CREATE TABLE revision (
    topic TEXT PRIMARY KEY,
    n BIGINT NOT NULL
);

CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    updated_at BIGINT NOT NULL
);

-- What was done by whom in the back office. Append-only.
CREATE TABLE admin_event (
    id BIGINT PRIMARY KEY,
    actor_id BIGINT,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL,
    at BIGINT NOT NULL
);

CREATE TABLE users (
    id BIGINT PRIMARY KEY,
    email TEXT NOT NULL,
    email_key TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    role TEXT NOT NULL CHECK (role IN ('owner', 'admin', 'customer')),
    verified_at BIGINT,
    disabled_at BIGINT,
    -- Sessions that carry an older number have ended.
    session_epoch BIGINT NOT NULL DEFAULT 0,
    locale TEXT,
    time_zone TEXT,
    created_at BIGINT NOT NULL,
    last_login_at BIGINT
);

-- Single-use links that were mailed. One without a user stands for a request about an address that has no account: answering it
-- takes the same work.
CREATE TABLE auth_token (
    hash TEXT PRIMARY KEY,
    user_id BIGINT REFERENCES users (id),
    kind TEXT NOT NULL CHECK (kind IN ('verify', 'reset')),
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX auth_token_user ON auth_token (user_id);
CREATE INDEX auth_token_expiry ON auth_token (expires_at);

-- The id is the hash of what the cookie carries.
CREATE TABLE session (
    hash TEXT PRIMARY KEY,
    user_id BIGINT,
    -- The user's session_epoch at log-in.
    epoch BIGINT,
    data TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX session_expiry ON session (expires_at);
CREATE INDEX session_owner ON session (user_id);

CREATE TABLE outbox (
    id BIGINT PRIMARY KEY,
    recipient TEXT NOT NULL,
    subject TEXT NOT NULL,
    body_text TEXT NOT NULL,
    body_html TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    next_attempt_at BIGINT NOT NULL,
    sent_at BIGINT,
    failed_at BIGINT,
    last_error TEXT
);
CREATE INDEX outbox_due ON outbox (next_attempt_at) WHERE sent_at IS NULL AND failed_at IS NULL;

CREATE TABLE api_key (
    id BIGINT PRIMARY KEY,
    user_id BIGINT NOT NULL REFERENCES users (id),
    name TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    prefix TEXT NOT NULL,
    budget BIGINT CHECK (budget >= 0),
    expires_at BIGINT NOT NULL,
    disabled_at BIGINT,
    deleted_at BIGINT,
    created_at BIGINT NOT NULL,
    -- The "keys" revision in which the row last changed: snapshots read what is newer than what they have.
    revision BIGINT NOT NULL
);
CREATE INDEX api_key_user ON api_key (user_id);
CREATE INDEX api_key_revision ON api_key (revision);

CREATE TABLE model (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    max_output_tokens BIGINT CHECK (max_output_tokens > 0),
    enabled BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    -- A deleted model keeps its prices on record and frees its name.
    deleted_at BIGINT
);
CREATE UNIQUE INDEX model_name ON model (name) WHERE deleted_at IS NULL;

-- Nano-dollars per million tokens. Append-only: the price in force is the one with the latest effective_at. A row of nulls
-- takes the price away.
CREATE TABLE price (
    id BIGINT PRIMARY KEY,
    model_id BIGINT NOT NULL REFERENCES model (id),
    effective_at BIGINT NOT NULL,
    input BIGINT CHECK (input >= 0),
    output BIGINT CHECK (output >= 0),
    cached_input BIGINT CHECK (cached_input >= 0),
    cache_write BIGINT CHECK (cache_write >= 0),
    CHECK ((input IS NULL) = (output IS NULL) AND (input IS NULL) = (cached_input IS NULL) AND (input IS NULL) = (cache_write IS NULL))
);
CREATE INDEX price_model ON price (model_id, effective_at);

CREATE TABLE channel (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('openai')),
    base_url TEXT NOT NULL,
    -- Sealed with APP_SECRET. Empty once the channel is deleted.
    credential TEXT NOT NULL,
    -- Names of models, one per line.
    models TEXT NOT NULL,
    priority BIGINT NOT NULL,
    weight BIGINT NOT NULL CHECK (weight > 0),
    enabled BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    -- A deleted channel stays on record for the requests it served and frees its name.
    deleted_at BIGINT
);
CREATE UNIQUE INDEX channel_name ON channel (name) WHERE deleted_at IS NULL;

-- One row per relayed request. The id is also the hold's.
CREATE TABLE request (
    id BIGINT PRIMARY KEY,
    user_id BIGINT NOT NULL,
    key_id BIGINT NOT NULL,
    channel_id BIGINT,
    model TEXT NOT NULL,
    streamed BIGINT NOT NULL,
    status BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    input_tokens BIGINT NOT NULL,
    cached_tokens BIGINT NOT NULL,
    cache_write_tokens BIGINT NOT NULL,
    output_tokens BIGINT NOT NULL,
    counted BIGINT NOT NULL,
    cost BIGINT NOT NULL,
    ttft_ms BIGINT,
    duration_ms BIGINT NOT NULL,
    error TEXT
);
CREATE INDEX request_user ON request (user_id, id);
