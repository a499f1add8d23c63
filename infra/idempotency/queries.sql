-- name: begin$
-- Claim the key, also one that has expired. A twin that is running holds it: wait `twin_wait` for
-- it, then lock_timeout strikes. Only this statement is so impatient, without a round trip more:
-- the setting is made before the row is inserted and undone after it.
INSERT INTO idempotency AS mine (principal, method, request_id, request_hash)
SELECT :principal, :method, :request_id, :request_hash::bytea
FROM set_config('lock_timeout', :twin_wait, true)
ON CONFLICT (principal, method, request_id) DO UPDATE
    SET request_hash = excluded.request_hash, reply = NULL, created_at = now()
    WHERE mine.created_at < now() - :keep::interval
RETURNING set_config('lock_timeout', :lock_wait, true);

-- name: answer^
SELECT request_hash, reply FROM idempotency
WHERE principal = :principal AND method = :method AND request_id = :request_id;

-- name: finish!
UPDATE idempotency SET reply = :reply
WHERE principal = :principal AND method = :method AND request_id = :request_id;

-- name: clean$
WITH old AS (
    DELETE FROM idempotency WHERE (principal, method, request_id) IN (
        SELECT principal, method, request_id FROM idempotency
        WHERE created_at < :cutoff ORDER BY created_at LIMIT :batch::int
    )
    RETURNING 1
)
SELECT count(*) FROM old;
