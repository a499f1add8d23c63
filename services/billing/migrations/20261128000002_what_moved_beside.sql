-- migrate:up

-- What moved at the payment provider on that day and is in no book of ours: payouts, fees, disputes.
ALTER TABLE reconciliations ADD COLUMN beside text[] NOT NULL DEFAULT '{}';

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
