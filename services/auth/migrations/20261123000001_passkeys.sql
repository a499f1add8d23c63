-- migrate:up

-- A passkey answers with its credential_id; user_id comes with it and must be the owner's.
CREATE TABLE passkeys (
    passkey_id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES accounts ON DELETE CASCADE,
    name text NOT NULL,
    credential_id bytea NOT NULL UNIQUE,
    public_key bytea NOT NULL,
    sign_count bigint NOT NULL,
    backed_up boolean NOT NULL,
    create_time timestamptz NOT NULL,
    use_time timestamptz
);
CREATE INDEX passkeys_user ON passkeys (user_id, passkey_id);

-- A challenge of a session is gone with it: whoever was put out cannot add a passkey any more.
CREATE TABLE passkey_challenges (
    challenge bytea PRIMARY KEY,
    session_id text COLLATE "C" REFERENCES sessions ON DELETE CASCADE,
    expire_time timestamptz NOT NULL
);
CREATE INDEX passkey_challenges_session ON passkey_challenges (session_id);
CREATE INDEX passkey_challenges_expire ON passkey_challenges (expire_time);

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
