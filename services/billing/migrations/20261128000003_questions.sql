-- migrate:up

-- What the provider is to be asked about, and when: charges and refunds that are not decided, or of which it told us.
-- Somebody who asks moves the time on until they must be dead. What comes of it is caused by the request that asked.
CREATE TABLE questions (
    object_id   text PRIMARY KEY,
    ask_time    timestamptz NOT NULL,
    request_id  text NOT NULL DEFAULT '',
    traceparent text NOT NULL DEFAULT ''
);
CREATE INDEX questions_due ON questions (ask_time);

INSERT INTO questions (object_id, ask_time)
SELECT charge_id, check_time FROM charges WHERE state IN ('created', 'pending', 'action_needed')
UNION ALL
SELECT refund_id, check_time FROM refunds WHERE state IN ('created', 'pending', 'action_needed');

ALTER TABLE charges DROP COLUMN check_time;
ALTER TABLE refunds DROP COLUMN check_time;

-- These reminders did it before.
DELETE FROM outbox WHERE type IN ('tulle.billing.v1.ChargeDue', 'tulle.billing.v1.RefundDue');

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
