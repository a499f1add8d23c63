-- migrate:up

-- An endpoint that is removed takes its pushes along.
CREATE INDEX pushes_endpoint ON pushes (endpoint_id, done_time);

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
