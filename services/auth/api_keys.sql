-- Every statement about API keys, by name (aiosql), as in queries.sql.

-- name: lock_account(user_id)!
-- Two keys that are made at once are counted one after the other.
SELECT FROM accounts WHERE user_id = :user_id FOR NO KEY UPDATE;

-- name: put_api_key(api_key_id, user_id, organisation_id, name, scopes, secret_hash, create_time, expire_time, session_id, most, notice_id, email, details, event)$
-- FOR SHARE: whoever ends the session waits, or this sees that it is gone.
WITH living AS (
    SELECT user_id FROM sessions WHERE session_id = :session_id AND user_id = :user_id FOR SHARE
), put AS (
    INSERT INTO api_keys (api_key_id, user_id, organisation_id, name, scopes, secret_hash, create_time, expire_time)
    SELECT :api_key_id, user_id, :organisation_id, :name, :scopes::text[], :secret_hash::bytea,
           :create_time::timestamptz, :expire_time::timestamptz
      FROM living
     WHERE (SELECT count(*) FROM api_keys
             WHERE api_keys.user_id = :user_id AND api_keys.expire_time > :create_time) < :most::integer
    RETURNING user_id
), mail AS (
    INSERT INTO mails (mail_id, kind, email, create_time, details)
    SELECT :notice_id, 'api_key_created', :email, :create_time::timestamptz, :details::jsonb FROM put
)
INSERT INTO outbox SELECT (:event::new_event).*, 1 FROM put RETURNING event_id;

-- name: get_api_keys(user_id, now)
SELECT api_key_id, user_id, organisation_id, name, scopes, secret_hash, previous_hash, previous_expire_time,
       create_time, expire_time, use_time
  FROM api_keys WHERE user_id = :user_id AND expire_time > :now ORDER BY api_key_id;

-- name: get_acting(api_key_id, now)^
SELECT api_key_id, api_keys.user_id, api_keys.organisation_id, name, scopes, secret_hash, previous_hash,
       previous_expire_time, api_keys.create_time, expire_time, use_time, roles || memberships.role AS roles
  FROM api_keys JOIN accounts USING (user_id)
       JOIN memberships ON memberships.organisation_id = api_keys.organisation_id
                       AND memberships.user_id = api_keys.user_id
 WHERE api_key_id = :api_key_id AND expire_time > :now;

-- name: rotate_api_key(api_key_id, old_hash, secret_hash, previous_hash, previous_expire_time, expire_time, notice_id, email, create_time, details, event)$
WITH rotated AS (
    UPDATE api_keys SET secret_hash = :secret_hash::bytea, previous_hash = :previous_hash::bytea,
           previous_expire_time = :previous_expire_time::timestamptz, expire_time = :expire_time::timestamptz
     WHERE api_key_id = :api_key_id AND secret_hash = :old_hash::bytea
    RETURNING user_id
), mail AS (
    INSERT INTO mails (mail_id, kind, email, create_time, details)
    SELECT :notice_id, 'api_key_rotated', :email, :create_time::timestamptz, :details::jsonb FROM rotated
)
INSERT INTO outbox SELECT (:event::new_event).*, 1 FROM rotated RETURNING event_id;

-- name: note_use(api_key_id, now, before)!
UPDATE api_keys SET use_time = :now WHERE api_key_id = :api_key_id AND (use_time IS NULL OR use_time <= :before);

-- name: drop_api_key(api_key_id, user_id)$
DELETE FROM api_keys WHERE api_key_id = :api_key_id AND user_id = :user_id RETURNING api_key_id;

-- name: clean(now, batch)$
WITH old_keys AS (
    DELETE FROM api_keys WHERE api_key_id IN (SELECT api_key_id FROM api_keys WHERE expire_time < :now LIMIT :batch)
       AND expire_time < :now
    RETURNING 1
)
SELECT count(*)::integer FROM old_keys;
