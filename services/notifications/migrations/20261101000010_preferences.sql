-- migrate:up

-- What people have said about how they want to be told; `choices` holds only the categories that they spoke of.
CREATE TABLE preferences (
    user_id text COLLATE "C" PRIMARY KEY,
    choices jsonb NOT NULL,
    quiet_start time,
    quiet_end time,
    version bigint NOT NULL,
    update_time timestamptz NOT NULL,
    CHECK ((quiet_start IS NULL) = (quiet_end IS NULL))
);

-- migrate:down
-- Forward only: a mistake is mended by the next migration.
