-- migrate:up

-- How many pushes an endpoint has had lately is asked before each one.
CREATE INDEX pushes_endpoint ON pushes (endpoint_id, done_time);

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
