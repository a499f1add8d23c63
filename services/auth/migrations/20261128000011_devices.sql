-- migrate:up

-- Where an account has been used: device_hash is an HMAC of account, network and label, of which the key is not here.
CREATE TABLE devices (
    user_id text COLLATE "C" NOT NULL REFERENCES accounts ON DELETE CASCADE,
    device_hash bytea NOT NULL,
    use_time timestamptz NOT NULL,
    PRIMARY KEY (user_id, device_hash)
);
CREATE INDEX devices_use ON devices (use_time);

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
