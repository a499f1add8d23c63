-- migrate:up

-- What came of holding a day's movements against the payment provider's books.
CREATE TABLE reconciliations (
    day date PRIMARY KEY,
    finish_time timestamptz NOT NULL,
    compared integer NOT NULL,
    drifts text[] NOT NULL
);
CREATE INDEX transfers_age ON transfers (create_time);

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
