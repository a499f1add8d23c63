-- migrate:up

-- How much was used and is on no invoice: what RecordUsage holds under its bound, without adding up rows.
ALTER TABLE subscriptions ADD COLUMN unbilled bigint NOT NULL DEFAULT 0;
UPDATE subscriptions SET unbilled = found.quantity
  FROM (SELECT subscription_id, sum(quantity) AS quantity FROM usage WHERE invoice_id IS NULL GROUP BY subscription_id) AS found
 WHERE subscriptions.subscription_id = found.subscription_id;

-- Of the largest quantity, with as much tax again, an invoice still fits into the ledger.
ALTER TABLE plans ADD CHECK (unit_amount <= 50000000);

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
