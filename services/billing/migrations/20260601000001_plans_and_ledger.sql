-- migrate:up

CREATE TABLE plans (
    plan_id text COLLATE "C" PRIMARY KEY,
    product text COLLATE "C" NOT NULL,
    display_name text NOT NULL,
    interval text NOT NULL CHECK (interval IN ('month', 'year')),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    unit text NOT NULL,
    unit_amount bigint NOT NULL CHECK (unit_amount >= 0),
    unit_count bigint NOT NULL CHECK (unit_count > 0),
    metered boolean NOT NULL,
    trial_days integer NOT NULL CHECK (trial_days >= 0),
    offered boolean NOT NULL DEFAULT true
);

INSERT INTO plans (plan_id, product, display_name, interval, currency, unit, unit_amount, unit_count, metered, trial_days)
VALUES
    ('free', 'workspace', 'Free', 'month', 'EUR', 'seat', 0, 1, false, 0),
    ('team-monthly', 'workspace', 'Team, monthly', 'month', 'EUR', 'seat', 900, 1, false, 14),
    ('team-yearly', 'workspace', 'Team, yearly', 'year', 'EUR', 'seat', 9000, 1, false, 14),
    ('team-monthly-usd', 'workspace', 'Team, monthly', 'month', 'USD', 'seat', 1000, 1, false, 14),
    ('api-calls', 'api', 'API calls', 'month', 'EUR', 'call', 50, 1000, true, 0);

CREATE TABLE transfers (
    source text COLLATE "C" PRIMARY KEY,
    organisation_id text COLLATE "C" NOT NULL,
    create_time timestamptz NOT NULL
);

CREATE TABLE entries (
    source text COLLATE "C" NOT NULL REFERENCES transfers,
    place integer NOT NULL,
    organisation_id text COLLATE "C" NOT NULL,
    account text COLLATE "C" NOT NULL
        CHECK (account IN ('receivable', 'clearing', 'credit', 'refunds', 'revenue', 'tax', 'bad_debt')),
    amount bigint NOT NULL CHECK (amount <> 0 AND abs(amount) <= 1000000000000),
    currency text COLLATE "C" NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    PRIMARY KEY (source, place)
);
CREATE INDEX entries_of_account ON entries (organisation_id, account, currency) INCLUDE (amount);

-- The domain checks the same before; this holds against whoever writes SQL by hand, too. Deferred to the
-- commit, since the entries of a transfer are there one after the other.
CREATE FUNCTION transfer_balances() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM entries WHERE source = NEW.source)
        OR EXISTS (SELECT FROM entries WHERE source = NEW.source GROUP BY currency HAVING sum(amount) <> 0) THEN
        RAISE EXCEPTION 'transfer % does not balance', NEW.source USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER transfer_balances AFTER INSERT ON transfers
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION transfer_balances();
CREATE CONSTRAINT TRIGGER entries_balance AFTER INSERT ON entries
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION transfer_balances();

CREATE FUNCTION written_for_ever() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is only added to: put it right with another transfer' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER transfers_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON transfers
    FOR EACH STATEMENT EXECUTE FUNCTION written_for_ever();
CREATE TRIGGER entries_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON entries
    FOR EACH STATEMENT EXECUTE FUNCTION written_for_ever();

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
