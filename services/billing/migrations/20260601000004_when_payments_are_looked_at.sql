-- migrate:up

-- When the provider is asked about a payment that is not decided.
ALTER TABLE charges ADD COLUMN check_time timestamptz NOT NULL DEFAULT now();
ALTER TABLE refunds ADD COLUMN check_time timestamptz NOT NULL DEFAULT now();

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
