-- migrate:up

-- A sign-up has no password any more: who holds the mail chooses it (ADR 12). The columns stay while processes
-- of 0.1.0 may still write them; a later migration drops them.
ALTER TABLE signups ALTER COLUMN password_hash DROP NOT NULL, ALTER COLUMN password_length DROP NOT NULL;

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
