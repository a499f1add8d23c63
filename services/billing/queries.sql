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
