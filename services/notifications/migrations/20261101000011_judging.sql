-- migrate:up

-- digest_id: the delivery in which this one goes out, with others. held_until: what was decided to wait for; a day of
-- attempts begins then. repeats: how often its event came again. history: each decision, oldest first.
ALTER TABLE deliveries
    ADD COLUMN digest_id text COLLATE "C",
    ADD COLUMN held_until timestamptz,
    ADD COLUMN repeats integer NOT NULL DEFAULT 0,
    ADD COLUMN history jsonb NOT NULL DEFAULT '[]';
CREATE INDEX deliveries_digest ON deliveries (digest_id) WHERE digest_id IS NOT NULL;
DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries (not_before) WHERE state = 'waiting' AND digest_id IS NULL;

-- Addresses that a mail server does not know, by the same keyed hash as in deliveries.
CREATE TABLE suppressions (
    recipient text COLLATE "C" PRIMARY KEY,
    create_time timestamptz NOT NULL
);

-- migrate:down
-- Forward only: a mistake is mended by the next migration.
