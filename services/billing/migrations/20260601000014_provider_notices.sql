-- migrate:up

-- The payment provider's events that were taken: each has its effect once, however often it comes.
CREATE TABLE provider_notices (
    notice_id text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL,
    receive_time timestamptz NOT NULL
);
CREATE INDEX provider_notices_age ON provider_notices (receive_time);

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
