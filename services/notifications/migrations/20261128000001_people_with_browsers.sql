-- migrate:up

-- Whoever registers a browser holds their row, so that each is counted; of a person there is one, however many browsers.
CREATE TABLE push_people (
    user_id text PRIMARY KEY
);

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
