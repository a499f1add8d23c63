-- migrate:up

CREATE TABLE push_endpoints (
    endpoint_id text COLLATE "C" NOT NULL PRIMARY KEY,
    user_id text COLLATE "C" NOT NULL,
    url text COLLATE "C" NOT NULL UNIQUE,
    p256dh bytea NOT NULL,
    auth bytea NOT NULL,
    create_time timestamptz NOT NULL,
    last_state text,
    last_time timestamptz
);

CREATE INDEX push_endpoints_user ON push_endpoints (user_id, endpoint_id);

-- What came of a push stays when its endpoint goes, so that people can be told why.
CREATE TABLE pushes (
    push_id text COLLATE "C" NOT NULL PRIMARY KEY,
    endpoint_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    variables jsonb NOT NULL,
    number bigint NOT NULL,
    state text NOT NULL,
    what text NOT NULL,
    attempts integer NOT NULL,
    due_time timestamptz NOT NULL,
    create_time timestamptz NOT NULL,
    done_time timestamptz
);

CREATE INDEX pushes_due ON pushes (due_time) WHERE state IN ('waiting', 'sending');
CREATE INDEX pushes_old ON pushes (create_time);

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
