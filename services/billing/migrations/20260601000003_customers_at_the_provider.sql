-- migrate:up

-- The organisation at the payment provider; empty until it has saved something to pay with.
ALTER TABLE customers ADD COLUMN provider_id text NOT NULL DEFAULT '';

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
