-- Deliveries. What each statement promises is said by services.notifications.domain.deliveries.Store.

-- name: add(delivery_id, event_id, channel, kind, user_id, mail_id, variables, repeatable, create_time, not_before, held_until)$
INSERT INTO deliveries (
    delivery_id, event_id, channel, kind, user_id, mail_id, variables, repeatable, state, create_time, not_before,
    held_until
)
VALUES (
    :delivery_id, :event_id, :channel, :kind, :user_id, :mail_id, :variables::jsonb, :repeatable, 'waiting',
    :create_time, :not_before, :held_until
)
ON CONFLICT (event_id, channel, mail_id, user_id) DO UPDATE SET repeats = deliveries.repeats + 1
RETURNING repeats = 0;

-- name: claim(now, lease)^
-- Two parts, so that each is found by its own index.
WITH waiting AS (
    SELECT delivery_id, not_before AS since FROM deliveries
    WHERE state = 'waiting' AND digest_id IS NULL AND not_before <= :now::timestamptz
    ORDER BY not_before LIMIT 1 FOR UPDATE SKIP LOCKED
), abandoned AS (
    SELECT delivery_id, lease_until AS since FROM deliveries
    WHERE state = 'sending' AND repeatable AND lease_until <= :now::timestamptz
    ORDER BY lease_until LIMIT 1 FOR UPDATE SKIP LOCKED
), due AS (
    SELECT delivery_id FROM (SELECT * FROM waiting UNION ALL SELECT * FROM abandoned) AS found ORDER BY since LIMIT 1
)
UPDATE deliveries SET state = 'sending', attempts = attempts + 1, lease_until = :lease::timestamptz
FROM due WHERE deliveries.delivery_id = due.delivery_id
RETURNING deliveries.*;

-- name: crowd(delivery_id, kind, user_id, recipient, since)$
WITH mine AS (
    UPDATE deliveries SET kind = :kind, user_id = :user_id, recipient = :recipient
    WHERE delivery_id = :delivery_id
)
SELECT count(*) FROM deliveries
WHERE recipient = :recipient AND kind = :kind AND create_time >= :since::timestamptz AND state IN ('sent', 'sending')
    AND delivery_id <> :delivery_id;

-- name: settle(delivery_id, was, attempts, state, reason, not_before, held_until, decision, now)!
WITH ours AS (
    SELECT delivery_id, recipient, repeatable FROM deliveries
    WHERE delivery_id = :delivery_id AND state = :was::text AND attempts = :attempts
    FOR UPDATE
), restored AS (
    DELETE FROM suppressions
    WHERE :state::text = 'sent' AND recipient IN (SELECT recipient FROM ours WHERE repeatable)
)
UPDATE deliveries SET state = :state::text, reason = :reason, lease_until = NULL,
    not_before = coalesce(:not_before::timestamptz, not_before),
    held_until = coalesce(:held_until::timestamptz, held_until),
    done_time = CASE WHEN :state::text = 'waiting' THEN NULL ELSE :now::timestamptz END,
    -- The same as before is no news, but for its time.
    history = CASE WHEN history -> -1 ->> 'reason' = :reason AND history -> -1 ->> 'state' = :state::text
                   THEN history - -1 ELSE history END || :decision::jsonb
WHERE delivery_id = (SELECT delivery_id FROM ours) OR digest_id = (SELECT delivery_id FROM ours);

-- name: lock_ours(delivery_id, was, attempts)$
SELECT delivery_id FROM deliveries
WHERE delivery_id = :delivery_id AND state = :was::text AND attempts = :attempts
FOR UPDATE;

-- name: collect(delivery_id, event_id, user_id, channel, reason, not_before, decision)!
-- A digest that is on its way has no room any more.
WITH digest AS (
    SELECT delivery_id FROM deliveries
    WHERE event_id = :event_id AND user_id = :user_id AND channel = :channel AND state = 'waiting'
    FOR UPDATE
)
UPDATE deliveries SET state = 'waiting', reason = :reason, lease_until = NULL, not_before = :not_before::timestamptz,
    held_until = :not_before::timestamptz, digest_id = (SELECT delivery_id FROM digest),
    history = CASE WHEN history -> -1 ->> 'reason' = :reason AND history -> -1 ->> 'state' = 'waiting'
                   THEN history - -1 ELSE history END || :decision::jsonb
WHERE delivery_id = :delivery_id;

-- name: collected(digest_id)
SELECT * FROM deliveries WHERE digest_id = :digest_id ORDER BY delivery_id;

-- name: told(delivery_id, user_id, channel, kinds, since)$
SELECT count(*) FROM deliveries
WHERE user_id = :user_id AND channel = :channel AND kind = ANY(:kinds::text[]) AND digest_id IS NULL
    AND delivery_id <> :delivery_id AND (state = 'sending' OR state = 'sent' AND done_time >= :since::timestamptz);

-- name: suppress(recipient, now)!
INSERT INTO suppressions (recipient, create_time) VALUES (:recipient, :now) ON CONFLICT DO NOTHING;

-- name: suppressed(recipient)$
SELECT EXISTS (SELECT FROM suppressions WHERE recipient = :recipient);

-- name: sweep(now)$
-- Arrays, since by a subquery on either side of an OR no index is used.
WITH lost AS (
    SELECT delivery_id FROM deliveries
    WHERE state = 'sending' AND NOT repeatable AND lease_until <= :now::timestamptz
    FOR UPDATE SKIP LOCKED
), marked AS (
    UPDATE deliveries SET state = 'lost', reason = 'UNCLEAR', lease_until = NULL, done_time = :now::timestamptz,
        history = history || jsonb_build_object('time', :now::timestamptz, 'state', 'lost', 'reason', 'UNCLEAR')
    WHERE delivery_id = ANY(ARRAY(SELECT delivery_id FROM lost))
        OR digest_id = ANY(ARRAY(SELECT delivery_id FROM lost))
)
SELECT count(*) FROM lost;

-- name: list_deliveries(user_id, event_id, kind, size)
SELECT * FROM deliveries
WHERE (:user_id = '' OR user_id = :user_id) AND (:event_id = '' OR event_id = :event_id)
    AND (:kind = '' OR kind = :kind)
ORDER BY delivery_id DESC LIMIT :size::int;

-- name: clean(cutoff, batch)$
WITH old AS (
    DELETE FROM deliveries WHERE delivery_id IN (
        SELECT delivery_id FROM deliveries WHERE done_time < :cutoff::timestamptz ORDER BY delivery_id LIMIT :batch::int
    )
    RETURNING 1
)
SELECT count(*) FROM old;
