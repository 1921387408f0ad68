-- A channel is of a kind and has options. SQLite cannot change a CHECK, so the table is made anew.
CREATE TABLE channel_anew (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    -- A word of channels::Kind. The program checks it: a CHECK would have to be rebuilt for each new one.
    kind TEXT NOT NULL,
    base_url TEXT NOT NULL,
    -- Its keys, one per line, sealed together with APP_SECRET. Empty once the channel is deleted.
    credential TEXT NOT NULL,
    -- What else may hold a secret (extra headers, the proxy's address), as sealed JSON. Empty when there is nothing.
    private TEXT NOT NULL,
    -- Public names of models, or patterns such as gpt-4*, one per line.
    models TEXT NOT NULL,
    priority BIGINT NOT NULL,
    weight BIGINT NOT NULL CHECK (weight > 0),
    enabled BIGINT NOT NULL,
    -- The JSON of channels::Options; what is not in it has its default.
    options TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    -- A deleted channel stays on record for the requests it served and frees its name.
    deleted_at BIGINT
);
INSERT INTO channel_anew (id, name, kind, base_url, credential, private, models, priority, weight, enabled, options, created_at, updated_at, deleted_at)
SELECT id, name, kind, base_url, credential, '', models, priority, weight, enabled, '{}', created_at, updated_at, deleted_at FROM channel;
DROP TABLE channel;
ALTER TABLE channel_anew RENAME TO channel;
CREATE UNIQUE INDEX channel_name ON channel (name) WHERE deleted_at IS NULL;
