-- Every statement about passkeys, by name (aiosql), as in queries.sql.

-- name: open_challenge(challenge, session_id, expire_time)$
-- FOR KEY SHARE: whoever ends the session waits, or this sees that it is gone.
WITH living AS (
    SELECT session_id FROM sessions WHERE session_id = :session_id FOR KEY SHARE
)
INSERT INTO passkey_challenges (challenge, session_id, expire_time)
SELECT :challenge, :session_id, :expire_time::timestamptz
 WHERE :session_id::text IS NULL OR EXISTS (SELECT FROM living)
RETURNING challenge;

-- name: close_challenge(challenge, session_id, now)$
DELETE FROM passkey_challenges
 WHERE challenge = :challenge AND session_id IS NOT DISTINCT FROM :session_id AND expire_time > :now
RETURNING challenge;

-- name: lock_account(user_id)!
-- Two passkeys that are added at once are counted one after the other.
SELECT FROM accounts WHERE user_id = :user_id FOR NO KEY UPDATE;

-- name: put_passkey(passkey_id, user_id, name, credential_id, public_key, sign_count, backed_up, create_time, session_id, most, notice_id, email, details, event)$
-- FOR SHARE: whoever ends the session waits, or this sees that it is gone.
WITH living AS (
    SELECT user_id FROM sessions WHERE session_id = :session_id AND user_id = :user_id FOR SHARE
), put AS (
    INSERT INTO passkeys (passkey_id, user_id, name, credential_id, public_key, sign_count, backed_up, create_time)
    SELECT :passkey_id, user_id, :name, :credential_id::bytea, :public_key::bytea, :sign_count::bigint,
           :backed_up::boolean, :create_time::timestamptz
      FROM living
     WHERE (SELECT count(*) FROM passkeys WHERE passkeys.user_id = :user_id) < :most::integer
    ON CONFLICT (credential_id) DO NOTHING
    RETURNING user_id
), mail AS (
    INSERT INTO mails (mail_id, kind, email, create_time, details)
    SELECT :notice_id, 'passkey_added', :email, :create_time::timestamptz, :details::jsonb FROM put
)
INSERT INTO outbox SELECT (:event::new_event).*, 1 FROM put RETURNING event_id;

-- name: get_passkeys(user_id)
SELECT passkey_id, user_id, name, credential_id, public_key, sign_count, backed_up, create_time, use_time
  FROM passkeys WHERE user_id = :user_id ORDER BY passkey_id;

-- name: get_passkey_of(credential_id)^
SELECT passkey_id, user_id, name, credential_id, public_key, sign_count, backed_up, create_time, use_time
  FROM passkeys WHERE credential_id = :credential_id;

-- name: use_passkey(passkey_id, sign_count, backed_up, now)$
UPDATE passkeys SET sign_count = :sign_count, backed_up = :backed_up, use_time = :now
 WHERE passkey_id = :passkey_id AND (sign_count < :sign_count OR (sign_count = 0 AND :sign_count = 0))
RETURNING passkey_id;

-- name: rename_passkey(passkey_id, user_id, name)^
UPDATE passkeys SET name = :name WHERE passkey_id = :passkey_id AND user_id = :user_id
RETURNING passkey_id, user_id, name, credential_id, public_key, sign_count, backed_up, create_time, use_time;

-- name: drop_passkey(passkey_id, user_id, notice_id, email, create_time, details, event)$
WITH dropped AS (
    DELETE FROM passkeys WHERE passkey_id = :passkey_id AND user_id = :user_id RETURNING user_id
), mail AS (
    INSERT INTO mails (mail_id, kind, email, create_time, details)
    SELECT :notice_id, 'passkey_removed', :email, :create_time::timestamptz, :details::jsonb FROM dropped
)
INSERT INTO outbox SELECT (:event::new_event).*, 1 FROM dropped RETURNING event_id;

-- name: clean(now, batch)$
WITH old_challenges AS (
    DELETE FROM passkey_challenges WHERE challenge IN (
        SELECT challenge FROM passkey_challenges WHERE expire_time < :now LIMIT :batch) RETURNING 1
)
SELECT count(*)::integer FROM old_challenges;
