-- migrate:up

-- How often an event was asked to be published again: the broker would take each for a repeat of
-- the first, and drop it, as long as its window lasts.
ALTER TABLE outbox ADD COLUMN replays integer NOT NULL DEFAULT 0;

-- migrate:down
-- Forward only: a mistake is mended by the next migration.
