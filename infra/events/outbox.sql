-- name: claim
-- The oldest unpublished event of each aggregate, locked, with those that follow it, and the timers
-- that are due; only of known types, since newer code may share the table. A lock on the oldest is a
-- lock on the aggregate: nobody else publishes for it.
WITH heads AS MATERIALIZED (
    SELECT event_id, resource, aggregate_id, aggregate_seq
    FROM outbox AS head
    WHERE published_at IS NULL AND publish_at IS NULL AND type = ANY(:types::text[]) AND coalesce((
        -- A subquery with a limit, not NOT EXISTS: of that the planner makes a join over the whole backlog.
        SELECT earlier.published_at IS NOT NULL FROM outbox AS earlier
        WHERE earlier.aggregate_id = head.aggregate_id AND earlier.resource = head.resource
            AND earlier.aggregate_seq < head.aggregate_seq AND earlier.publish_at IS NULL
        ORDER BY earlier.aggregate_seq DESC
        LIMIT 1
    ), true)
    ORDER BY event_id
    LIMIT :batch::int
    FOR UPDATE SKIP LOCKED
), timers AS MATERIALIZED (
    SELECT * FROM outbox
    WHERE published_at IS NULL AND publish_at <= now() AND type = ANY(:types::text[])
    ORDER BY publish_at
    LIMIT :batch::int
    FOR UPDATE SKIP LOCKED
)
SELECT lane.*
FROM heads CROSS JOIN LATERAL (
    SELECT * FROM outbox
    WHERE outbox.aggregate_id = heads.aggregate_id AND outbox.resource = heads.resource
        AND outbox.aggregate_seq >= heads.aggregate_seq
        AND outbox.publish_at IS NULL AND outbox.published_at IS NULL
    ORDER BY outbox.aggregate_seq
    LIMIT :lane::int
) AS lane
UNION ALL
SELECT * FROM timers;

-- name: previous
-- For each of the given events the place of the last one before it whose type is among `types`.
SELECT coalesce((
    SELECT aggregate_seq FROM outbox
    WHERE outbox.aggregate_id = asked.aggregate_id AND outbox.resource = asked.resource
        AND outbox.aggregate_seq < asked.aggregate_seq
        AND outbox.publish_at IS NULL AND outbox.type = ANY(:types::text[])
    ORDER BY aggregate_seq DESC
    LIMIT 1
), 0) AS seq
FROM unnest(:resources::text[], :aggregates::text[], :seqs::bigint[])
    WITH ORDINALITY AS asked (resource, aggregate_id, aggregate_seq, place)
ORDER BY place;

-- name: mark!
UPDATE outbox SET published_at = now(), stream_seq = done.stream_seq
FROM unnest(:event_ids::text[], :stream_seqs::bigint[]) AS done (event_id, stream_seq)
WHERE outbox.event_id = done.event_id;

-- name: forget_lost^
-- A batch of what the broker had and lost, from a place on, is to be published again; how many, and where the batch ends.
WITH lost AS MATERIALIZED (
    SELECT event_id, stream_seq FROM outbox WHERE stream_seq >= :first_seq
    ORDER BY stream_seq LIMIT :batch::int
    FOR UPDATE
), again AS (
    UPDATE outbox SET published_at = NULL, stream_seq = NULL FROM lost WHERE outbox.event_id = lost.event_id
)
SELECT count(*) AS count, max(stream_seq) AS last_seq FROM lost;

-- name: republish^
-- A batch of what was published between two times is to be published again; how many, and the last of them.
WITH found AS MATERIALIZED (
    SELECT event_id FROM outbox
    WHERE event_id > :after AND published_at >= :since AND published_at < :until AND (:type = '' OR type = :type)
    ORDER BY event_id LIMIT :batch::int
    FOR UPDATE
), again AS (
    UPDATE outbox SET published_at = NULL, stream_seq = NULL, replays = replays + 1
    FROM found WHERE outbox.event_id = found.event_id
)
SELECT count(*) AS count, max(event_id) AS last FROM found;

-- name: newest
SELECT * FROM outbox
WHERE (:before = '' OR event_id < :before) AND (:aggregate_id = '' OR aggregate_id = :aggregate_id)
ORDER BY event_id DESC LIMIT :size::int;

-- name: event^
SELECT * FROM outbox WHERE event_id = :event_id;

-- name: next_timer$
SELECT extract(epoch FROM min(publish_at) - now())::float8 FROM outbox
WHERE published_at IS NULL AND publish_at IS NOT NULL AND type = ANY(:types::text[]);

-- name: clean$
-- Ids are in order of time, so that the primary key finds the oldest rows.
WITH old AS (
    DELETE FROM outbox WHERE event_id IN (
        SELECT event_id FROM outbox WHERE event_id < :born_before AND published_at < :cutoff
        ORDER BY event_id LIMIT :batch::int
    )
    RETURNING 1
)
SELECT count(*) FROM old;

-- name: unpublished^
-- What waits, and since when; which timers are set. Each half has its index: together they had none.
SELECT events.due + timers.due AS due, least(events.since, timers.since) AS since, timers.timers, timers.next_timer
FROM (
    SELECT count(*) AS due, min(time) AS since FROM outbox WHERE published_at IS NULL AND publish_at IS NULL
) AS events, (
    SELECT
        count(*) FILTER (WHERE publish_at <= now()) AS due,
        min(publish_at) FILTER (WHERE publish_at <= now()) AS since,
        count(*) FILTER (WHERE publish_at > now()) AS timers,
        min(publish_at) FILTER (WHERE publish_at > now()) AS next_timer
    FROM outbox WHERE published_at IS NULL AND publish_at IS NOT NULL
) AS timers;
