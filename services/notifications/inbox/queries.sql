-- Every statement of the inbox, by name (aiosql).

-- name: add(user_id, kind, variables, now, most)$
-- The person's row is held until the end of the transaction, so that numbers become visible in their order.
WITH inbox AS (
    INSERT INTO inboxes (user_id, number, version) VALUES (:user_id, 1, 1)
    ON CONFLICT (user_id) DO UPDATE SET number = inboxes.number + 1, version = inboxes.version + 1
    RETURNING number
), forgotten AS (
    DELETE FROM inbox_messages
     WHERE user_id = :user_id AND number <= (SELECT number FROM inbox) - :most::bigint
)
INSERT INTO inbox_messages (user_id, number, kind, variables, create_time)
SELECT :user_id, number, :kind, :variables::jsonb, :now FROM inbox
RETURNING number;

-- name: page(user_id, before, unread_only, limit)
SELECT number, kind, variables, create_time, read_time
  FROM inbox_messages
 WHERE user_id = :user_id AND (:before::bigint = 0 OR number < :before) AND NOT (:unread_only AND read_time IS NOT NULL)
 ORDER BY number DESC LIMIT :limit;

-- name: after(user_id, number, limit)
SELECT number, kind, variables, create_time, read_time
  FROM inbox_messages
 WHERE user_id = :user_id AND number > :number
 ORDER BY number LIMIT :limit;

-- name: state(user_id)^
SELECT number, version,
       (SELECT count(*) FROM inbox_messages WHERE user_id = :user_id AND read_time IS NULL) AS unread
  FROM inboxes WHERE user_id = :user_id;

-- name: versions(user_ids)
SELECT user_id, version FROM inboxes WHERE user_id = ANY(:user_ids::text[]);

-- name: mark_read(user_id, numbers, up_to, now)$
-- The person's row first, as in `add`: two that wait for each other would both fail.
WITH inbox AS (
    SELECT user_id FROM inboxes WHERE user_id = :user_id FOR UPDATE
), marked AS (
    UPDATE inbox_messages SET read_time = :now
     WHERE user_id = (SELECT user_id FROM inbox) AND read_time IS NULL
       AND (number = ANY(:numbers::bigint[]) OR number <= :up_to)
    RETURNING number
), told AS (
    UPDATE inboxes SET version = version + 1 WHERE user_id = :user_id AND EXISTS (SELECT FROM marked)
)
SELECT count(*) FROM marked;

-- name: clean_inboxes(before, batch)$
WITH old AS (
    SELECT user_id, number FROM inbox_messages WHERE create_time < :before ORDER BY create_time LIMIT :batch
), gone AS (
    DELETE FROM inbox_messages USING old
     WHERE inbox_messages.user_id = old.user_id AND inbox_messages.number = old.number
    RETURNING old.number
)
SELECT count(*) FROM gone;
