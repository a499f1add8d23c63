-- name: receive^
-- Take responsibility for an event. One statement, so that all answers are of one moment.
-- is_new: not seen before. in_turn: its predecessor was here, and none before it is parked.
-- followed: events after it are parked.
WITH mine AS (
    INSERT INTO inbox (event_id, source, resource, aggregate_id, aggregate_seq)
    VALUES (:event_id, :source, :resource, :aggregate_id, :aggregate_seq)
    ON CONFLICT DO NOTHING
    RETURNING 1
), again AS (
    -- What can be replayed can be replayed again: it is remembered from its last coming on.
    UPDATE inbox SET received_at = now() WHERE event_id = :event_id
), around AS MATERIALIZED (
    SELECT aggregate_seq FROM parked
    WHERE aggregate_id = :aggregate_id AND resource = :resource AND source = :source AND ordered AND dead_at IS NULL
)
SELECT
    EXISTS (SELECT FROM mine) AS is_new,
    NOT EXISTS (SELECT FROM around WHERE aggregate_seq < :aggregate_seq) AND (
        :previous::bigint = 0 OR EXISTS (
            SELECT FROM inbox
            WHERE aggregate_id = :aggregate_id AND resource = :resource AND source = :source
                AND aggregate_seq = :previous::bigint
        )
    ) AS in_turn,
    EXISTS (SELECT FROM around WHERE aggregate_seq > :aggregate_seq) AS followed;

-- name: park!
INSERT INTO parked (
    event_id, source, resource, aggregate_id, aggregate_seq, ordered, previous, type, envelope, attempts, error, retry_at
)
VALUES (
    :event_id, :source, :resource, :aggregate_id, :aggregate_seq, :ordered, :previous, :type, :envelope,
    :attempts, :error, now() + :pause::interval
)
ON CONFLICT DO NOTHING;

-- name: bury!
-- A message that cannot be read has no place in any order.
INSERT INTO parked (
    event_id, source, resource, aggregate_id, aggregate_seq, ordered, type, envelope, attempts, error, dead_at
)
VALUES (:event_id, :source, '', '', 0, false, :type, :envelope, 1, :error, now())
ON CONFLICT DO NOTHING;

-- name: next_due^
-- One whose next try is due: found at once, however many wait behind others.
SELECT * FROM parked_in_turn WHERE attempts > 0 LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: next_untried^
-- One that waited for another: looks at all that wait.
SELECT * FROM parked_in_turn WHERE attempts = 0 LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: next_behind^
-- The same within one aggregate: found at once, however many are parked.
SELECT * FROM parked_in_turn
WHERE aggregate_id = :aggregate_id AND resource = :resource AND source = :source
LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: unpark!
DELETE FROM parked WHERE event_id = :event_id;

-- name: failed_again!
UPDATE parked SET attempts = attempts + 1, error = :error, retry_at = now() + :pause::interval,
    dead_at = CASE WHEN :dead THEN now() END
WHERE event_id = :event_id;

-- name: dead
SELECT * FROM parked WHERE dead_at IS NOT NULL AND event_id > :after ORDER BY event_id LIMIT :size::int;

-- name: waiting^
SELECT count(*) FILTER (WHERE dead_at IS NULL) AS parked, count(*) FILTER (WHERE dead_at IS NOT NULL) AS dead
FROM parked;

-- name: redrive$
WITH again AS (
    UPDATE parked SET dead_at = NULL, retry_at = now(), attempts = 0, parked_at = now()
    WHERE dead_at IS NOT NULL AND aggregate_id <> '' AND event_id = ANY(:event_ids::text[])
    RETURNING 1
)
SELECT count(*) FROM again;

-- name: life^
-- What became of an event: received, parked, or buried unread, which has no row in the inbox.
SELECT
    coalesce(inbox.received_at, parked.parked_at) AS received_at, parked.event_id IS NULL AS done,
    parked.attempts, parked.error, parked.retry_at, parked.dead_at
FROM (SELECT :event_id::text AS event_id) AS asked
LEFT JOIN inbox USING (event_id)
LEFT JOIN parked USING (event_id)
WHERE coalesce(inbox.event_id, parked.event_id) IS NOT NULL;

-- name: forget$
-- A batch of what was received between two times is as if it had never come; what is parked stays.
WITH forgotten AS (
    DELETE FROM inbox WHERE event_id IN (
        SELECT event_id FROM inbox
        WHERE source = :source AND received_at >= :since AND received_at < :until
            AND NOT EXISTS (SELECT FROM parked WHERE parked.event_id = inbox.event_id)
        ORDER BY event_id LIMIT :batch::int
    )
    RETURNING 1
)
SELECT count(*) FROM forgotten;

-- name: clean_inbox$
WITH old AS (
    DELETE FROM inbox WHERE event_id IN (
        SELECT event_id FROM inbox WHERE event_id < :born_before AND received_at < :cutoff
        ORDER BY event_id LIMIT :batch::int
    )
    RETURNING 1
)
SELECT count(*) FROM old;

-- name: clean_dead$
WITH old AS (
    DELETE FROM parked WHERE event_id IN (
        SELECT event_id FROM parked WHERE dead_at < :cutoff ORDER BY dead_at LIMIT :batch::int
    )
    RETURNING 1
)
SELECT count(*) FROM old;
