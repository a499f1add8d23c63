-- Every statement of billing, by name (aiosql). Columns are listed, so that this code goes on running
-- when a migration adds one.

-- name: get_plans()
SELECT plan_id, product, display_name, interval, currency, unit, unit_amount, unit_count, metered, trial_days
  FROM plans WHERE offered ORDER BY product, unit_amount, plan_id;

-- name: put_transfer(source, organisation_id, create_time, accounts, amounts, currencies)$
-- One statement, so that a transfer and its entries are there together or not at all.
WITH put AS (
    INSERT INTO transfers (source, organisation_id, create_time)
    VALUES (:source, :organisation_id, :create_time)
    ON CONFLICT DO NOTHING
    RETURNING source, organisation_id
), entered AS (
    INSERT INTO entries (source, place, organisation_id, account, amount, currency)
    SELECT put.source, entry.place, put.organisation_id, entry.account, entry.amount, entry.currency
      FROM put, unnest(:accounts::text[], :amounts::bigint[], :currencies::text[])
           WITH ORDINALITY AS entry (account, amount, currency, place)
)
SELECT source FROM put;

-- name: get_entries(source)
SELECT organisation_id, account, amount, currency FROM entries WHERE source = :source ORDER BY place;

-- name: get_balance(organisation_id, account, currency)$
SELECT coalesce(sum(amount), 0)::bigint FROM entries
 WHERE organisation_id = :organisation_id AND account = :account AND currency = :currency;

-- name: get_balances()
SELECT account, currency, sum(amount)::bigint AS amount FROM entries
 GROUP BY account, currency ORDER BY account, currency;

-- name: get_plan(plan_id)^
SELECT plan_id, product, display_name, interval, currency, unit, unit_amount, unit_count, metered, trial_days
  FROM plans WHERE plan_id = :plan_id;

-- name: get_entity(entity_id)^
SELECT entity_id, name, address, tax_id, prefix, tax_name, tax_basis_points
  FROM legal_entities WHERE entity_id = :entity_id;

-- name: next_number(entity_id, kind)$
UPDATE counters SET last = last + 1 WHERE entity_id = :entity_id AND kind = :kind RETURNING last;

-- name: add_customer(organisation_id)!
INSERT INTO customers (organisation_id) VALUES (:organisation_id) ON CONFLICT DO NOTHING;

-- name: lock_customer(organisation_id)^
SELECT organisation_id, entity_id, provider_id, method, name, address, tax_id
  FROM customers WHERE organisation_id = :organisation_id FOR UPDATE;

-- name: get_customer(organisation_id)^
SELECT organisation_id, entity_id, provider_id, method, name, address, tax_id
  FROM customers WHERE organisation_id = :organisation_id;

-- name: put_customer(organisation_id, entity_id, provider_id, method, name, address, tax_id)!
UPDATE customers SET entity_id = :entity_id, provider_id = :provider_id, method = :method, name = :name,
       address = :address, tax_id = :tax_id
 WHERE organisation_id = :organisation_id;

-- name: announce(event, place)!
INSERT INTO outbox SELECT (:event::new_event).*, :place::bigint;

-- name: get_subscription(subscription_id)^
SELECT subscription_id, organisation_id, user_id, plan_id, product, quantity, state, anchor, period,
       period_start, period_end, trialed, cancel_at_period_end, create_time, end_time, version
  FROM subscriptions WHERE subscription_id = :subscription_id;

-- name: get_live_subscription(organisation_id, product)^
SELECT subscription_id, organisation_id, user_id, plan_id, product, quantity, state, anchor, period,
       period_start, period_end, trialed, cancel_at_period_end, create_time, end_time, version
  FROM subscriptions WHERE organisation_id = :organisation_id AND product = :product AND state <> 'ended';

-- name: has_live_subscription(organisation_id)$
SELECT EXISTS (SELECT FROM subscriptions WHERE organisation_id = :organisation_id AND state <> 'ended');

-- name: has_trialed(organisation_id, product)$
SELECT EXISTS (
    SELECT FROM subscriptions WHERE organisation_id = :organisation_id AND product = :product AND trialed
);

-- name: page_of_subscriptions(organisation_id, after, limit)
SELECT subscription_id, organisation_id, user_id, plan_id, product, quantity, state, anchor, period,
       period_start, period_end, trialed, cancel_at_period_end, create_time, end_time, version
  FROM subscriptions WHERE organisation_id = :organisation_id AND subscription_id > :after
 ORDER BY subscription_id LIMIT :limit;

-- name: put_subscription(subscription_id, organisation_id, user_id, plan_id, product, quantity, state, anchor, period, period_start, period_end, trialed, cancel_at_period_end, create_time, end_time, version)!
INSERT INTO subscriptions (
    subscription_id, organisation_id, user_id, plan_id, product, quantity, state, anchor, period, period_start,
    period_end, trialed, cancel_at_period_end, create_time, end_time, version
)
VALUES (
    :subscription_id, :organisation_id, :user_id, :plan_id, :product, :quantity, :state, :anchor, :period,
    :period_start, :period_end, :trialed, :cancel_at_period_end, :create_time, :end_time, :version
)
ON CONFLICT (subscription_id) DO UPDATE
   SET plan_id = excluded.plan_id, quantity = excluded.quantity, state = excluded.state,
       anchor = excluded.anchor, period = excluded.period, period_start = excluded.period_start,
       period_end = excluded.period_end, cancel_at_period_end = excluded.cancel_at_period_end,
       end_time = excluded.end_time, version = excluded.version;

-- name: put_use(organisation_id, usage_id, subscription_id, quantity, create_time, most)$
-- The lock on the subscription keeps a use and the end of its subscription apart, whose last invoice has all.
WITH found AS (
    SELECT subscription_id FROM subscriptions
     WHERE subscription_id = :subscription_id AND state <> 'ended' AND unbilled + :quantity <= :most FOR UPDATE
), put AS (
    INSERT INTO usage (organisation_id, usage_id, subscription_id, quantity, create_time)
    SELECT :organisation_id, :usage_id, subscription_id, :quantity, :create_time FROM found
    ON CONFLICT (organisation_id, usage_id) DO NOTHING
    RETURNING usage_id, subscription_id, quantity
)
UPDATE subscriptions SET unbilled = unbilled + put.quantity
  FROM put WHERE subscriptions.subscription_id = put.subscription_id
RETURNING put.usage_id;

-- name: lock_subscription(subscription_id)$
SELECT subscription_id FROM subscriptions WHERE subscription_id = :subscription_id FOR UPDATE;

-- name: get_use(organisation_id, usage_id)^
SELECT organisation_id, subscription_id, usage_id, quantity, create_time
  FROM usage WHERE organisation_id = :organisation_id AND usage_id = :usage_id;

-- name: bill_usage(subscription_id, invoice_id)$
WITH billed AS (
    UPDATE usage SET invoice_id = :invoice_id
     WHERE subscription_id = :subscription_id AND invoice_id IS NULL
    RETURNING quantity
), counted AS (
    UPDATE subscriptions SET unbilled = 0 WHERE subscription_id = :subscription_id
)
SELECT coalesce(sum(quantity), 0)::bigint FROM billed;

-- name: get_invoice(invoice_id)^
SELECT invoices.invoice_id, invoices.organisation_id, invoices.user_id, invoices.subscription_id,
       invoices.entity_id, invoices.state, invoices.currency, invoices.period_start, invoices.period_end,
       invoices.create_time, invoices.number, invoices.buyer, invoices.subtotal, invoices.tax_basis_points, invoices.tax,
       invoices.credited, invoices.paid, invoices.attempts, invoices.next_attempt_time, invoices.finalise_time,
       invoices.version,
       ARRAY(SELECT description FROM invoice_lines AS line WHERE line.invoice_id = invoices.invoice_id
             ORDER BY place) AS descriptions,
       ARRAY(SELECT quantity FROM invoice_lines AS line WHERE line.invoice_id = invoices.invoice_id
             ORDER BY place) AS quantities,
       ARRAY(SELECT amount FROM invoice_lines AS line WHERE line.invoice_id = invoices.invoice_id
             ORDER BY place) AS amounts
  FROM invoices WHERE invoice_id = :invoice_id;

-- name: get_draft(subscription_id)^
SELECT invoices.invoice_id, invoices.organisation_id, invoices.user_id, invoices.subscription_id,
       invoices.entity_id, invoices.state, invoices.currency, invoices.period_start, invoices.period_end,
       invoices.create_time, invoices.number, invoices.buyer, invoices.subtotal, invoices.tax_basis_points, invoices.tax,
       invoices.credited, invoices.paid, invoices.attempts, invoices.next_attempt_time, invoices.finalise_time,
       invoices.version,
       ARRAY(SELECT description FROM invoice_lines AS line WHERE line.invoice_id = invoices.invoice_id
             ORDER BY place) AS descriptions,
       ARRAY(SELECT quantity FROM invoice_lines AS line WHERE line.invoice_id = invoices.invoice_id
             ORDER BY place) AS quantities,
       ARRAY(SELECT amount FROM invoice_lines AS line WHERE line.invoice_id = invoices.invoice_id
             ORDER BY place) AS amounts
  FROM invoices WHERE subscription_id = :subscription_id AND state = 'draft';

-- name: get_open_invoices(subscription_id)
SELECT invoices.invoice_id, invoices.organisation_id, invoices.user_id, invoices.subscription_id,
       invoices.entity_id, invoices.state, invoices.currency, invoices.period_start, invoices.period_end,
       invoices.create_time, invoices.number, invoices.buyer, invoices.subtotal, invoices.tax_basis_points, invoices.tax,
       invoices.credited, invoices.paid, invoices.attempts, invoices.next_attempt_time, invoices.finalise_time,
       invoices.version,
       ARRAY(SELECT description FROM invoice_lines AS line WHERE line.invoice_id = invoices.invoice_id
             ORDER BY place) AS descriptions,
       ARRAY(SELECT quantity FROM invoice_lines AS line WHERE line.invoice_id = invoices.invoice_id
             ORDER BY place) AS quantities,
       ARRAY(SELECT amount FROM invoice_lines AS line WHERE line.invoice_id = invoices.invoice_id
             ORDER BY place) AS amounts
  FROM invoices WHERE subscription_id = :subscription_id AND state = 'open' ORDER BY invoice_id;

-- name: page_of_invoices(organisation_id, after, limit)
SELECT invoices.invoice_id, invoices.organisation_id, invoices.user_id, invoices.subscription_id,
       invoices.entity_id, invoices.state, invoices.currency, invoices.period_start, invoices.period_end,
       invoices.create_time, invoices.number, invoices.buyer, invoices.subtotal, invoices.tax_basis_points, invoices.tax,
       invoices.credited, invoices.paid, invoices.attempts, invoices.next_attempt_time, invoices.finalise_time,
       invoices.version,
       ARRAY(SELECT description FROM invoice_lines AS line WHERE line.invoice_id = invoices.invoice_id
             ORDER BY place) AS descriptions,
       ARRAY(SELECT quantity FROM invoice_lines AS line WHERE line.invoice_id = invoices.invoice_id
             ORDER BY place) AS quantities,
       ARRAY(SELECT amount FROM invoice_lines AS line WHERE line.invoice_id = invoices.invoice_id
             ORDER BY place) AS amounts
  FROM invoices WHERE organisation_id = :organisation_id AND invoice_id > :after ORDER BY invoice_id LIMIT :limit;

-- name: put_invoice(invoice_id, organisation_id, user_id, subscription_id, entity_id, state, currency, period_start, period_end, create_time, number, buyer, subtotal, tax_basis_points, tax, credited, paid, attempts, next_attempt_time, finalise_time, version)!
INSERT INTO invoices (
    invoice_id, organisation_id, user_id, subscription_id, entity_id, state, currency, period_start, period_end,
    create_time, number, buyer, subtotal, tax_basis_points, tax, credited, paid, attempts, next_attempt_time,
    finalise_time, version
)
VALUES (
    :invoice_id, :organisation_id, :user_id, :subscription_id, :entity_id, :state, :currency, :period_start,
    :period_end, :create_time, :number, :buyer, :subtotal, :tax_basis_points, :tax, :credited, :paid, :attempts,
    :next_attempt_time, :finalise_time, :version
)
ON CONFLICT (invoice_id) DO UPDATE
   SET state = excluded.state, period_start = excluded.period_start, period_end = excluded.period_end,
       number = excluded.number, buyer = excluded.buyer, subtotal = excluded.subtotal, tax_basis_points = excluded.tax_basis_points,
       tax = excluded.tax, credited = excluded.credited, paid = excluded.paid, attempts = excluded.attempts,
       next_attempt_time = excluded.next_attempt_time, finalise_time = excluded.finalise_time,
       version = excluded.version;

-- name: put_lines(invoice_id, organisation_id, descriptions, quantities, amounts)!
INSERT INTO invoice_lines (invoice_id, place, organisation_id, description, quantity, amount)
SELECT :invoice_id, line.place, :organisation_id, line.description, line.quantity, line.amount
  FROM unnest(:descriptions::text[], :quantities::bigint[], :amounts::bigint[])
       WITH ORDINALITY AS line (description, quantity, amount, place)
ON CONFLICT DO NOTHING;

-- name: put_credit_note(credit_note_id, organisation_id, invoice_id, number, amount, tax, currency, reason, create_time)!
INSERT INTO credit_notes (
    credit_note_id, organisation_id, invoice_id, number, amount, tax, currency, reason, create_time
)
VALUES (
    :credit_note_id, :organisation_id, :invoice_id, :number, :amount, :tax, :currency, :reason, :create_time
);

-- name: get_credit_notes(invoice_id)
SELECT credit_note_id, organisation_id, invoice_id, number, amount, tax, currency, reason, create_time
  FROM credit_notes WHERE invoice_id = :invoice_id ORDER BY credit_note_id;

-- name: get_charge(charge_id)^
SELECT charge_id, organisation_id, invoice_id, method, amount, currency, state, create_time, provider_id, failure
  FROM charges WHERE charge_id = :charge_id;

-- name: get_charges(invoice_id)
SELECT charge_id, organisation_id, invoice_id, method, amount, currency, state, create_time, provider_id, failure
  FROM charges WHERE invoice_id = :invoice_id ORDER BY charge_id;

-- name: put_charge(charge_id, organisation_id, invoice_id, method, amount, currency, state, create_time, provider_id, failure)!
INSERT INTO charges (
    charge_id, organisation_id, invoice_id, method, amount, currency, state, create_time, provider_id, failure
)
VALUES (
    :charge_id, :organisation_id, :invoice_id, :method, :amount, :currency, :state, :create_time, :provider_id, :failure
)
ON CONFLICT (charge_id) DO UPDATE
   SET state = excluded.state, provider_id = excluded.provider_id, failure = excluded.failure;

-- name: get_refund(refund_id)^
SELECT refund_id, organisation_id, charge_id, amount, currency, state, create_time, provider_id, failure
  FROM refunds WHERE refund_id = :refund_id;

-- name: get_refunds(charge_id)
SELECT refund_id, organisation_id, charge_id, amount, currency, state, create_time, provider_id, failure
  FROM refunds WHERE charge_id = :charge_id ORDER BY refund_id;

-- name: put_refund(refund_id, organisation_id, charge_id, amount, currency, state, create_time, provider_id, failure)!
INSERT INTO refunds (refund_id, organisation_id, charge_id, amount, currency, state, create_time, provider_id, failure)
VALUES (:refund_id, :organisation_id, :charge_id, :amount, :currency, :state, :create_time, :provider_id, :failure)
ON CONFLICT (refund_id) DO UPDATE
   SET state = excluded.state, provider_id = excluded.provider_id, failure = excluded.failure;

-- name: ask(object_id, at, request_id, traceparent)!
INSERT INTO questions (object_id, ask_time, request_id, traceparent) VALUES (:object_id, :at, :request_id, :traceparent)
ON CONFLICT (object_id) DO UPDATE
   SET ask_time = excluded.ask_time, request_id = excluded.request_id, traceparent = excluded.traceparent;

-- name: claim_question(now, until)^
UPDATE questions SET ask_time = :until
 WHERE object_id = (
    SELECT object_id FROM questions WHERE ask_time <= :now ORDER BY ask_time LIMIT 1 FOR UPDATE SKIP LOCKED
 )
RETURNING object_id, request_id, traceparent;

-- name: answered(object_id, until, again)!
WITH over AS (
    DELETE FROM questions WHERE object_id = :object_id AND ask_time = :until AND :again::timestamptz IS NULL
)
UPDATE questions SET ask_time = :again::timestamptz
 WHERE object_id = :object_id AND ask_time = :until AND :again::timestamptz IS NOT NULL;

-- name: take_notice(notice_id, kind, receive_time, object_id, request_id, traceparent)$
WITH taken AS (
    INSERT INTO provider_notices (notice_id, kind, receive_time) VALUES (:notice_id, :kind, :receive_time)
    ON CONFLICT (notice_id) DO NOTHING
    RETURNING notice_id
), asked AS (
    INSERT INTO questions (object_id, ask_time, request_id, traceparent)
    SELECT :object_id, :receive_time, :request_id, :traceparent FROM taken WHERE :object_id <> ''
    ON CONFLICT (object_id) DO UPDATE
       SET ask_time = excluded.ask_time, request_id = excluded.request_id, traceparent = excluded.traceparent
)
SELECT count(*) FROM taken;

-- name: clean_notices(cutoff, batch)$
WITH old AS (
    DELETE FROM provider_notices WHERE notice_id IN (
        SELECT notice_id FROM provider_notices WHERE receive_time < :cutoff ORDER BY receive_time LIMIT :batch
    ) RETURNING 1
)
SELECT count(*) FROM old;

-- name: get_moved(since)
SELECT c.provider_id, e.amount, e.currency, t.create_time
  FROM transfers t JOIN entries e ON e.source = t.source AND e.account = 'clearing'
  JOIN charges c ON c.charge_id = substr(t.source, 8)
 WHERE t.create_time >= :since AND t.source LIKE 'charge:%'
UNION ALL
SELECT r.provider_id, e.amount, e.currency, t.create_time
  FROM transfers t JOIN entries e ON e.source = t.source AND e.account = 'clearing'
  JOIN refunds r ON r.refund_id = substr(t.source, 13)
 WHERE t.create_time >= :since AND t.source LIKE 'refund_done:%'
UNION ALL
SELECT r.provider_id, e.amount, e.currency, t.create_time
  FROM transfers t JOIN entries e ON e.source = t.source AND e.account = 'clearing'
  JOIN refunds r ON r.refund_id = substr(t.source, 17)
 WHERE t.create_time >= :since AND t.source LIKE 'refund_returned:%';

-- name: last_reconciled()$
SELECT max(day) FROM reconciliations;

-- name: keep_reconciled(day, finish_time, compared, drifts, beside)!
INSERT INTO reconciliations (day, finish_time, compared, drifts, beside)
VALUES (:day, :finish_time, :compared, :drifts, :beside)
ON CONFLICT (day) DO NOTHING;
