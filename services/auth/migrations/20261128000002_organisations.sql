-- migrate:up

-- Personal organisations have no row here: accounts.organisation_id is all there is of them. version counts the
-- changes of who is in it, and as what.
CREATE TABLE organisations (
    organisation_id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    version bigint NOT NULL DEFAULT 1,
    create_time timestamptz NOT NULL
);

CREATE TABLE members (
    organisation_id text COLLATE "C" NOT NULL REFERENCES organisations,
    user_id text COLLATE "C" NOT NULL REFERENCES accounts ON DELETE CASCADE,
    role text NOT NULL,
    join_time timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, user_id)
);
CREATE INDEX members_user ON members (user_id, organisation_id);

-- One for each address: a new one takes the place of the earlier.
CREATE TABLE invitations (
    invitation_id text COLLATE "C" PRIMARY KEY,
    organisation_id text COLLATE "C" NOT NULL REFERENCES organisations,
    mail_id text COLLATE "C" NOT NULL UNIQUE,
    email text NOT NULL,
    email_key text COLLATE "C" NOT NULL,
    role text NOT NULL,
    inviter_id text COLLATE "C" NOT NULL,
    create_time timestamptz NOT NULL,
    expire_time timestamptz NOT NULL,
    UNIQUE (organisation_id, email_key)
);
CREATE INDEX invitations_expire ON invitations (expire_time);

-- NULL: the personal one, as in every session that is there already.
ALTER TABLE sessions ADD COLUMN organisation_id text COLLATE "C";

CREATE INDEX accounts_organisation ON accounts (organisation_id);
CREATE VIEW memberships AS
    SELECT organisation_id, user_id, 'owner' AS role, true AS personal, create_time AS join_time FROM accounts
    UNION ALL
    SELECT organisation_id, user_id, role, false, join_time FROM members;

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
