-- migrate:up

-- Collation C: ids and handles sort by their bytes, on every machine alike, and an index on them
-- serves prefixes.
CREATE TABLE profiles (
    organisation_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL UNIQUE,
    display_name text NOT NULL,
    handle text COLLATE "C" NOT NULL,
    locale text NOT NULL,
    time_zone text NOT NULL,
    avatar_url text NOT NULL,
    version bigint NOT NULL,
    create_time timestamptz NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, user_id)
);

-- A handle is public and belongs to one person of all organisations; many people have none.
CREATE UNIQUE INDEX profiles_handle ON profiles (handle) WHERE handle <> '';

CREATE TABLE preferences (
    organisation_id text COLLATE "C" NOT NULL,
    user_id text COLLATE "C" NOT NULL UNIQUE,
    theme text NOT NULL,
    product_news boolean NOT NULL,
    week_start text NOT NULL,
    version bigint NOT NULL,
    update_time timestamptz NOT NULL,
    PRIMARY KEY (organisation_id, user_id),
    FOREIGN KEY (organisation_id, user_id) REFERENCES profiles
);

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
