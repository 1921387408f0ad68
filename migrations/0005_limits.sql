-- What limits a key beside its total budget and its expiry, as JSON (src/keys/options.rs); null for nothing.
ALTER TABLE api_key ADD COLUMN options TEXT;

-- What limits a user, for all keys together, as JSON (src/keys/allowance.rs); null for the shop's defaults.
ALTER TABLE users ADD COLUMN limits TEXT;
