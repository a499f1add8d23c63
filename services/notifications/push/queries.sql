-- Every statement of web push, by name (aiosql).

-- name: lock(user_id)!
-- Registrations of one person come one after the other, so that they are counted right.
INSERT INTO push_people (user_id) VALUES (:user_id) ON CONFLICT (user_id) DO UPDATE SET user_id = excluded.user_id;

-- name: register(endpoint_id, user_id, url, p256dh, auth, create_time)^
INSERT INTO push_endpoints (endpoint_id, user_id, url, p256dh, auth, create_time)
VALUES (:endpoint_id, :user_id, :url, :p256dh, :auth, :create_time)
ON CONFLICT (url) DO UPDATE SET p256dh = excluded.p256dh, auth = excluded.auth
 WHERE push_endpoints.user_id = excluded.user_id
RETURNING endpoint_id, user_id, url, p256dh, auth, create_time, last_state, last_time;

-- name: count_others(user_id, url)$
SELECT count(*) FROM push_endpoints WHERE user_id = :user_id AND url <> :url;

-- name: endpoints(user_id)
SELECT endpoint_id, user_id, url, p256dh, auth, create_time, last_state, last_time
  FROM push_endpoints WHERE user_id = :user_id ORDER BY endpoint_id;

-- name: remove(user_id, endpoint_id)$
WITH gone AS (
    DELETE FROM push_endpoints WHERE user_id = :user_id AND endpoint_id = :endpoint_id RETURNING endpoint_id
), pushless AS (
    DELETE FROM pushes USING gone WHERE pushes.endpoint_id = gone.endpoint_id
)
SELECT count(*) FROM gone;

-- name: add(push_ids, user_id, kind, variables, number, now)$
WITH added AS (
    INSERT INTO pushes (
        push_id, endpoint_id, user_id, kind, variables, number, state, what, attempts, due_time, create_time
    )
    SELECT ids.push_id, found.endpoint_id, :user_id, :kind, :variables::jsonb, :number, 'waiting', '', 0, :now, :now
      FROM (SELECT endpoint_id, row_number() OVER (ORDER BY endpoint_id) AS place
              FROM push_endpoints WHERE user_id = :user_id) AS found
      JOIN unnest(:push_ids::text[]) WITH ORDINALITY AS ids (push_id, place) USING (place)
    RETURNING push_id
)
SELECT count(*) FROM added;

-- name: claim(now, until)^
WITH next AS (
    SELECT push_id FROM pushes WHERE state = 'waiting' AND due_time <= :now
     ORDER BY due_time LIMIT 1 FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE pushes SET state = 'sending', attempts = attempts + 1, due_time = :until
      FROM next WHERE pushes.push_id = next.push_id
    RETURNING pushes.push_id, pushes.endpoint_id, pushes.kind, pushes.variables, pushes.number, pushes.attempts,
              pushes.create_time
)
SELECT claimed.push_id, claimed.kind, claimed.variables, claimed.number, claimed.attempts,
       claimed.create_time AS push_time,
       e.endpoint_id, e.user_id, e.url, e.p256dh, e.auth, e.create_time, e.last_state, e.last_time
  FROM claimed JOIN push_endpoints e USING (endpoint_id);

-- name: settle(push_id, attempts, endpoint_id, state, what, again, now)!
-- The endpoint first, as in `remove`: two that wait for each other would both fail. It may be gone already.
WITH held AS (
    SELECT endpoint_id FROM push_endpoints WHERE endpoint_id = :endpoint_id FOR UPDATE
), settled AS (
    UPDATE pushes SET state = :state, what = :what, due_time = coalesce(:again::timestamptz, due_time),
           done_time = CASE WHEN :state = 'waiting' THEN NULL ELSE :now::timestamptz END
     WHERE push_id = :push_id AND state = 'sending' AND attempts = :attempts AND (SELECT count(*) FROM held) >= 0
    RETURNING push_id
), gone AS (
    DELETE FROM push_endpoints
     WHERE endpoint_id = :endpoint_id AND :state = 'gone' AND EXISTS (SELECT FROM settled)
), hopeless AS (
    UPDATE pushes SET state = 'gone', done_time = :now
     WHERE endpoint_id = :endpoint_id AND :state = 'gone' AND state = 'waiting' AND EXISTS (SELECT FROM settled)
)
UPDATE push_endpoints SET last_state = :state, last_time = :now
 WHERE endpoint_id = :endpoint_id AND :state <> 'gone' AND EXISTS (SELECT FROM settled);

-- name: sweep(now)$
WITH lost AS (
    UPDATE pushes SET state = 'lost', what = 'courier died', done_time = :now
     WHERE state = 'sending' AND due_time <= :now
    RETURNING push_id
)
SELECT count(*) FROM lost;

-- name: clean_pushes(before, batch)$
WITH gone AS (
    DELETE FROM pushes WHERE push_id IN (
        SELECT push_id FROM pushes WHERE create_time < :before ORDER BY create_time LIMIT :batch
    )
    RETURNING push_id
)
SELECT count(*) FROM gone;
