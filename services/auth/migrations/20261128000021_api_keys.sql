-- migrate:up

-- secret_hash: SHA-256 of 256 random bits. previous_hash: of the secret before the last rotation, good until
-- previous_expire_time.
CREATE TABLE api_keys (
    api_key_id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES accounts ON DELETE CASCADE,
    organisation_id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    scopes text[] NOT NULL,
    secret_hash bytea NOT NULL,
    previous_hash bytea,
    previous_expire_time timestamptz,
    create_time timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,
    use_time timestamptz
) WITH (fillfactor = 80); -- uses are noted in place
CREATE INDEX api_keys_user ON api_keys (user_id, api_key_id);
CREATE INDEX api_keys_expire ON api_keys (expire_time);

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
