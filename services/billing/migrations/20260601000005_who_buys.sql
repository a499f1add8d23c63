-- migrate:up

ALTER TABLE customers
    ADD COLUMN name text NOT NULL DEFAULT '',
    ADD COLUMN address text NOT NULL DEFAULT '',
    ADD COLUMN tax_id text NOT NULL DEFAULT '';

-- As it was when the invoice was issued.
ALTER TABLE invoices ADD COLUMN buyer text NOT NULL DEFAULT '';

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
