-- Deliveries. What each statement promises is said by services.notifications.domain.deliveries.Store.

-- name: add(delivery_id, event_id, channel, kind, user_id, mail_id, variables, repeatable, create_time, not_before)!
INSERT INTO deliveries (
    delivery_id, event_id, channel, kind, user_id, mail_id, variables, repeatable, state, create_time, not_before
)
VALUES (
    :delivery_id, :event_id, :channel, :kind, :user_id, :mail_id, :variables::jsonb, :repeatable, 'waiting',
    :create_time, :not_before
)
ON CONFLICT DO NOTHING;

-- name: claim(now, lease)^
-- Two parts, so that each is found by its own index.
WITH waiting AS (
    SELECT delivery_id, not_before AS since FROM deliveries
    WHERE state = 'waiting' AND not_before <= :now::timestamptz
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

-- name: settle(delivery_id, state, reason, not_before, now)!
UPDATE deliveries SET state = :state::text, reason = :reason, lease_until = NULL,
    not_before = coalesce(:not_before::timestamptz, not_before),
    done_time = CASE WHEN :state::text = 'waiting' THEN NULL ELSE :now::timestamptz END
WHERE delivery_id = :delivery_id;

-- name: sweep(now)$
WITH lost AS (
    UPDATE deliveries SET state = 'lost', reason = 'UNCLEAR', lease_until = NULL, done_time = :now::timestamptz
    WHERE state = 'sending' AND NOT repeatable AND lease_until <= :now::timestamptz
    RETURNING 1
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
