-- migrate:up

-- Who sells. Another one is another row, with counters of its own; its name and tax rate are changed here.
CREATE TABLE legal_entities (
    entity_id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    address text NOT NULL,
    tax_id text NOT NULL,
    prefix text NOT NULL UNIQUE,
    tax_name text NOT NULL,
    tax_basis_points integer NOT NULL CHECK (tax_basis_points BETWEEN 0 AND 10000)
);
INSERT INTO legal_entities (entity_id, name, address, tax_id, prefix, tax_name, tax_basis_points)
VALUES ('main', 'Example GmbH', E'Musterstraße 1\n10115 Berlin', 'DE123456789', 'EX', 'VAT', 1900);

-- Numbers without gaps: the row stays locked until the transaction that takes a number ends.
CREATE TABLE counters (
    entity_id text COLLATE "C" NOT NULL REFERENCES legal_entities,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('invoice', 'credit_note')),
    last bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (entity_id, kind)
);
INSERT INTO counters (entity_id, kind) VALUES ('main', 'invoice'), ('main', 'credit_note');

CREATE TABLE customers (
    organisation_id text COLLATE "C" PRIMARY KEY,
    entity_id text COLLATE "C" NOT NULL REFERENCES legal_entities DEFAULT 'main',
    method text NOT NULL DEFAULT ''
);

CREATE TABLE subscriptions (
    subscription_id text COLLATE "C" PRIMARY KEY,
    organisation_id text COLLATE "C" NOT NULL REFERENCES customers,
    user_id text COLLATE "C" NOT NULL,
    plan_id text COLLATE "C" NOT NULL REFERENCES plans,
    product text COLLATE "C" NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    state text NOT NULL CHECK (state IN ('incomplete', 'trialing', 'active', 'past_due', 'ended')),
    anchor timestamptz NOT NULL,
    period integer NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    trialed boolean NOT NULL,
    cancel_at_period_end boolean NOT NULL,
    create_time timestamptz NOT NULL,
    end_time timestamptz,
    version bigint NOT NULL
);
CREATE UNIQUE INDEX subscriptions_live ON subscriptions (organisation_id, product) WHERE state <> 'ended';
CREATE INDEX subscriptions_of_organisation ON subscriptions (organisation_id, subscription_id);

CREATE TABLE invoices (
    invoice_id text COLLATE "C" PRIMARY KEY,
    organisation_id text COLLATE "C" NOT NULL REFERENCES customers,
    user_id text COLLATE "C" NOT NULL,
    subscription_id text COLLATE "C" NOT NULL REFERENCES subscriptions,
    entity_id text COLLATE "C" NOT NULL REFERENCES legal_entities,
    state text NOT NULL CHECK (state IN ('draft', 'open', 'paid', 'uncollectible', 'void')),
    currency text NOT NULL CHECK (currency ~ '^[A-Z]{3}$'),
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    create_time timestamptz NOT NULL,
    number text COLLATE "C" NOT NULL,
    subtotal bigint NOT NULL,
    tax_basis_points integer NOT NULL,
    tax bigint NOT NULL,
    credited bigint NOT NULL CHECK (credited >= 0),
    paid bigint NOT NULL CHECK (paid >= 0),
    attempts integer NOT NULL,
    next_attempt_time timestamptz,
    finalise_time timestamptz,
    version bigint NOT NULL,
    CHECK (state = 'draft' OR credited + paid <= subtotal + tax OR number = '')
);
CREATE UNIQUE INDEX invoices_number ON invoices (number) WHERE number <> '';
CREATE UNIQUE INDEX invoices_draft ON invoices (subscription_id) WHERE state = 'draft';
CREATE INDEX invoices_open ON invoices (subscription_id, invoice_id) WHERE state = 'open';
CREATE INDEX invoices_of_organisation ON invoices (organisation_id, invoice_id);

CREATE TABLE invoice_lines (
    invoice_id text COLLATE "C" NOT NULL REFERENCES invoices,
    place integer NOT NULL,
    organisation_id text COLLATE "C" NOT NULL,
    description text NOT NULL,
    quantity bigint NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (invoice_id, place)
);

CREATE TABLE credit_notes (
    credit_note_id text COLLATE "C" PRIMARY KEY,
    organisation_id text COLLATE "C" NOT NULL REFERENCES customers,
    invoice_id text COLLATE "C" NOT NULL REFERENCES invoices,
    number text COLLATE "C" NOT NULL UNIQUE,
    amount bigint NOT NULL CHECK (amount > 0),
    tax bigint NOT NULL,
    currency text NOT NULL,
    reason text NOT NULL,
    create_time timestamptz NOT NULL
);
CREATE INDEX credit_notes_of_invoice ON credit_notes (invoice_id, credit_note_id);

CREATE TABLE charges (
    charge_id text COLLATE "C" PRIMARY KEY,
    organisation_id text COLLATE "C" NOT NULL REFERENCES customers,
    invoice_id text COLLATE "C" NOT NULL REFERENCES invoices,
    method text NOT NULL,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    state text NOT NULL CHECK (state IN ('created', 'pending', 'action_needed', 'succeeded', 'failed')),
    create_time timestamptz NOT NULL,
    provider_id text NOT NULL,
    failure text NOT NULL
);
CREATE INDEX charges_of_invoice ON charges (invoice_id, charge_id);
-- One attempt at a time: nobody pays twice because they clicked twice.
CREATE UNIQUE INDEX charges_live ON charges (invoice_id) WHERE state IN ('created', 'pending', 'action_needed');

CREATE TABLE refunds (
    refund_id text COLLATE "C" PRIMARY KEY,
    organisation_id text COLLATE "C" NOT NULL REFERENCES customers,
    charge_id text COLLATE "C" NOT NULL REFERENCES charges,
    amount bigint NOT NULL CHECK (amount > 0),
    currency text NOT NULL,
    state text NOT NULL CHECK (state IN ('created', 'pending', 'action_needed', 'succeeded', 'failed')),
    create_time timestamptz NOT NULL,
    provider_id text NOT NULL,
    failure text NOT NULL
);
CREATE INDEX refunds_of_charge ON refunds (charge_id, refund_id);

CREATE TABLE usage (
    organisation_id text COLLATE "C" NOT NULL REFERENCES customers,
    usage_id text COLLATE "C" NOT NULL,
    subscription_id text COLLATE "C" NOT NULL REFERENCES subscriptions,
    quantity bigint NOT NULL CHECK (quantity > 0),
    create_time timestamptz NOT NULL,
    invoice_id text COLLATE "C",
    PRIMARY KEY (organisation_id, usage_id)
);
CREATE INDEX usage_unbilled ON usage (subscription_id) INCLUDE (quantity) WHERE invoice_id IS NULL;

-- migrate:down
-- Forward only: what is no longer wanted is removed by a later migration.
