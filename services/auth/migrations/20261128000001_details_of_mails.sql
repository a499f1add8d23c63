-- migrate:up

-- Texts that name something, such as a device, get it from here. Processes without the column write none.
ALTER TABLE mails ADD COLUMN details jsonb NOT NULL DEFAULT '{}';

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
