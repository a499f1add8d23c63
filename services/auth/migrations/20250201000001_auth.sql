-- migrate:up

-- email_key: the address as it is compared. organisation_id comes first wherever an account is looked up within one.
CREATE TABLE accounts (
    user_id text COLLATE "C" PRIMARY KEY,
    organisation_id text COLLATE "C" NOT NULL,
    email text NOT NULL,
    email_key text COLLATE "C" NOT NULL UNIQUE,
    password_hash text NOT NULL,
    password_length integer NOT NULL,
    roles text[] NOT NULL DEFAULT '{}',
    totp_seed bytea,
    totp_confirmed boolean NOT NULL DEFAULT false,
    totp_step bigint NOT NULL DEFAULT 0,
    recovery_codes bytea[] NOT NULL DEFAULT '{}',
    version bigint NOT NULL DEFAULT 1,
    create_time timestamptz NOT NULL
);
CREATE INDEX accounts_administrators ON accounts (user_id) WHERE 'administrator' = ANY (roles);

-- Several may wait for one address: only its owner can confirm one.
CREATE TABLE signups (
    mail_id text COLLATE "C" PRIMARY KEY,
    email text NOT NULL,
    email_key text COLLATE "C" NOT NULL,
    password_hash text NOT NULL,
    password_length integer NOT NULL,
    expire_time timestamptz NOT NULL
);
CREATE INDEX signups_expire ON signups (expire_time);

-- user_id is NULL when somebody asked for an address that has no account.
CREATE TABLE resets (
    mail_id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" REFERENCES accounts ON DELETE CASCADE,
    expire_time timestamptz NOT NULL
);
CREATE INDEX resets_expire ON resets (expire_time);
CREATE INDEX resets_user ON resets (user_id);

CREATE TABLE mails (
    mail_id text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL,
    email text NOT NULL,
    create_time timestamptz NOT NULL
);
CREATE INDEX mails_create ON mails (create_time);

CREATE TABLE challenges (
    challenge bytea PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES accounts ON DELETE CASCADE,
    device text NOT NULL,
    expire_time timestamptz NOT NULL
);
CREATE INDEX challenges_expire ON challenges (expire_time);
CREATE INDEX challenges_user ON challenges (user_id);

CREATE TABLE sessions (
    session_id text COLLATE "C" PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL REFERENCES accounts ON DELETE CASCADE,
    device text NOT NULL,
    token_hash bytea NOT NULL,
    previous_hash bytea,
    create_time timestamptz NOT NULL,
    refresh_time timestamptz NOT NULL,
    expire_time timestamptz NOT NULL
) WITH (fillfactor = 80); -- each refresh updates a row in place
CREATE INDEX sessions_user ON sessions (user_id, session_id);
CREATE INDEX sessions_expire ON sessions (expire_time);

-- One key for each time at which one begins to sign, so that several processes make the same decision.
CREATE TABLE signing_keys (
    sign_from timestamptz PRIMARY KEY,
    kid text NOT NULL,
    public_jwk text NOT NULL,
    private_sealed bytea NOT NULL
);

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
