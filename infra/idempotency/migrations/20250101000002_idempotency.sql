-- migrate:up

CREATE TABLE idempotency (
    principal text NOT NULL,
    method text NOT NULL,
    request_id text NOT NULL,
    request_hash bytea NOT NULL,
    reply bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, method, request_id)
);
CREATE INDEX idempotency_age ON idempotency (created_at);

-- migrate:down
-- Forward only: a mistake is mended by the next migration.
