-- migrate:up

-- What somebody is to be told, by one way. No address is kept: `recipient` tells addresses apart by a keyed hash.
CREATE TABLE deliveries (
    delivery_id text COLLATE "C" PRIMARY KEY,
    event_id text NOT NULL,
    channel text NOT NULL,
    kind text NOT NULL,
    user_id text NOT NULL,
    mail_id text NOT NULL,
    variables jsonb NOT NULL,
    repeatable boolean NOT NULL,
    state text NOT NULL CHECK (state IN ('waiting', 'sending', 'sent', 'withheld', 'failed', 'lost')),
    reason text NOT NULL DEFAULT '',
    recipient text NOT NULL DEFAULT '',
    attempts integer NOT NULL DEFAULT 0,
    create_time timestamptz NOT NULL,
    not_before timestamptz NOT NULL,
    lease_until timestamptz,
    done_time timestamptz
);
-- An event that comes twice tells nobody twice.
CREATE UNIQUE INDEX deliveries_once ON deliveries (event_id, channel, mail_id, user_id);
CREATE INDEX deliveries_due ON deliveries (not_before) WHERE state = 'waiting';
CREATE INDEX deliveries_leased ON deliveries (lease_until) WHERE state = 'sending';
CREATE INDEX deliveries_crowd ON deliveries (recipient, kind, create_time);
CREATE INDEX deliveries_user ON deliveries (user_id, delivery_id);

-- migrate:down
-- Forward only: a mistake is mended by the next migration.
