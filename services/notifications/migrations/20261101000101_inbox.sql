-- migrate:up

-- One row for each person who was ever told something. `number` counts their messages, `version` all changes.
CREATE TABLE inboxes (
    user_id text COLLATE "C" NOT NULL PRIMARY KEY,
    number bigint NOT NULL,
    version bigint NOT NULL
);

CREATE TABLE inbox_messages (
    user_id text COLLATE "C" NOT NULL REFERENCES inboxes ON DELETE CASCADE,
    number bigint NOT NULL,
    kind text NOT NULL,
    variables jsonb NOT NULL,
    create_time timestamptz NOT NULL,
    read_time timestamptz,
    PRIMARY KEY (user_id, number)
);

CREATE INDEX inbox_messages_unread ON inbox_messages (user_id, number) WHERE read_time IS NULL;
CREATE INDEX inbox_messages_old ON inbox_messages (create_time);

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
