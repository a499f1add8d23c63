-- migrate:up

-- A sign-up has no password any more: who holds the mail chooses it (ADR 12).
ALTER TABLE signups DROP COLUMN password_hash, DROP COLUMN password_length;

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
