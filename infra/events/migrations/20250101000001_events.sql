-- migrate:up

-- What a statement needs to announce an event; infra/events/outbox.py makes it. An attribute more
-- is a new type: code that is still running sends the old one.
CREATE TYPE new_event AS (
    event_id text,
    type text,
    schema_version integer,
    resource text,
    aggregate_id text,
    organisation_id text,
    actor text,
    causation_id text,
    traceparent text,
    time timestamptz,
    payload bytea,
    publish_at timestamptz
);

-- The columns of new_event come first, so that `SELECT (:event::new_event).*, version` is a row.
CREATE TABLE outbox (
    event_id text COLLATE "C" PRIMARY KEY,
    type text NOT NULL,
    schema_version integer NOT NULL,
    resource text NOT NULL,
    aggregate_id text NOT NULL,
    organisation_id text NOT NULL,
    actor text NOT NULL,
    causation_id text NOT NULL,
    traceparent text NOT NULL,
    time timestamptz NOT NULL,
    payload bytea NOT NULL,
    publish_at timestamptz,
    aggregate_seq bigint NOT NULL CHECK (aggregate_seq > 0),
    published_at timestamptz,
    stream_seq bigint
);
-- One event for each place in an aggregate's history. Timers stand outside of that order.
CREATE UNIQUE INDEX outbox_order ON outbox (aggregate_id, resource, aggregate_seq) INCLUDE (type)
    WHERE publish_at IS NULL;
CREATE INDEX outbox_waiting ON outbox (event_id) WHERE published_at IS NULL AND publish_at IS NULL;
CREATE INDEX outbox_timers ON outbox (publish_at) WHERE published_at IS NULL AND publish_at IS NOT NULL;
CREATE INDEX outbox_stream ON outbox (stream_seq) WHERE stream_seq IS NOT NULL;

-- Events that this workload has taken responsibility for: their effect is made, or they are parked.
CREATE TABLE inbox (
    event_id text COLLATE "C" PRIMARY KEY,
    source text NOT NULL,
    resource text NOT NULL,
    aggregate_id text NOT NULL,
    aggregate_seq bigint NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX inbox_order ON inbox (aggregate_id, resource, source, aggregate_seq);

-- Events whose handler failed, those of the same aggregate behind them, and those that came before
-- their predecessor (`previous`, a place in the aggregate's history).
CREATE TABLE parked (
    event_id text COLLATE "C" PRIMARY KEY,
    source text NOT NULL,
    resource text NOT NULL,
    aggregate_id text NOT NULL,
    aggregate_seq bigint NOT NULL,
    ordered boolean NOT NULL,
    previous bigint NOT NULL DEFAULT 0,
    type text NOT NULL,
    envelope bytea NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    error text NOT NULL DEFAULT '',
    parked_at timestamptz NOT NULL DEFAULT now(),
    retry_at timestamptz NOT NULL DEFAULT now(),
    dead_at timestamptz
);
CREATE INDEX parked_order ON parked (aggregate_id, resource, source, aggregate_seq) WHERE dead_at IS NULL;
CREATE INDEX parked_retry ON parked (retry_at) WHERE dead_at IS NULL;
CREATE INDEX parked_untried ON parked (event_id) WHERE dead_at IS NULL AND attempts = 0;
CREATE INDEX parked_dead ON parked (dead_at) WHERE dead_at IS NOT NULL;

-- Parked events before which no other of their aggregate is parked, and whose predecessor has come
-- (`preceded`) or whose next try is due.
CREATE VIEW parked_in_turn AS
SELECT *, now() - parked_at AS age FROM (
    SELECT *, previous = 0 OR EXISTS (
        SELECT FROM inbox
        WHERE inbox.aggregate_id = parked.aggregate_id AND inbox.resource = parked.resource
            AND inbox.source = parked.source AND inbox.aggregate_seq = parked.previous
    ) AS preceded
    FROM parked
    WHERE dead_at IS NULL AND (retry_at <= now() OR attempts = 0)
) AS head
WHERE (retry_at <= now() OR preceded) AND NOT EXISTS (
    SELECT FROM parked AS earlier
    WHERE head.ordered AND earlier.ordered AND earlier.dead_at IS NULL
        AND earlier.aggregate_id = head.aggregate_id AND earlier.resource = head.resource
        AND earlier.source = head.source AND earlier.aggregate_seq < head.aggregate_seq
);

-- migrate:down
-- Forward only: a mistake is mended by the next migration.
