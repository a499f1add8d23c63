-- Every statement of auth, by name (aiosql). Columns are listed, so that this code goes on running
-- when a migration adds one.

-- name: sign_up(mail_id, email, email_key, expire_time, create_time, details, event)!
-- The same work whether or not the address has an account.
WITH known AS (
    SELECT EXISTS (SELECT FROM accounts WHERE email_key = :email_key) AS yes
), waiting AS (
    INSERT INTO signups (mail_id, email, email_key, expire_time)
    SELECT :mail_id, :email, :email_key,
           CASE WHEN yes THEN :create_time::timestamptz ELSE :expire_time::timestamptz END
      FROM known
), mail AS (
    INSERT INTO mails (mail_id, kind, email, create_time, details)
    SELECT :mail_id, CASE WHEN yes THEN 'already_registered' ELSE 'verify' END, :email, :create_time::timestamptz,
           :details::jsonb
      FROM known
)
INSERT INTO outbox SELECT (:event::new_event).*, 1;

-- name: signed_up(mail_id, now)$
SELECT email FROM signups WHERE mail_id = :mail_id AND expire_time > :now;

-- name: open_account(mail_id, user_id, organisation_id, password_hash, password_length, create_time, now, event)$
WITH signup AS (
    DELETE FROM signups WHERE mail_id = :mail_id AND expire_time > :now RETURNING email, email_key
), opened AS (
    INSERT INTO accounts (user_id, organisation_id, email, email_key, password_hash, password_length, create_time)
    SELECT :user_id, :organisation_id, email, email_key, :password_hash, :password_length::integer,
           :create_time::timestamptz
      FROM signup
    ON CONFLICT (email_key) DO NOTHING
    RETURNING version
)
INSERT INTO outbox SELECT (:event::new_event).*, version FROM opened RETURNING event_id;

-- name: request_reset(mail_id, email_key, expire_time, create_time, details, event)!
-- The same work whether or not the address has an account: a reset of nobody cannot be used.
WITH asked AS (
    SELECT user_id, email FROM (SELECT) AS always LEFT JOIN accounts ON email_key = :email_key
), waiting AS (
    INSERT INTO resets (mail_id, user_id, expire_time) SELECT :mail_id, user_id, :expire_time::timestamptz FROM asked
), mail AS (
    INSERT INTO mails (mail_id, kind, email, create_time, details)
    SELECT :mail_id, CASE WHEN user_id IS NULL THEN 'nobody' ELSE 'reset' END, coalesce(email, ''),
           :create_time::timestamptz, :details::jsonb
      FROM asked
)
INSERT INTO outbox SELECT (:event::new_event).*, 1;

-- name: reset_account(mail_id, now)^
SELECT user_id, organisation_id, email, password_hash, password_length, roles, totp_seed, totp_confirmed,
       totp_step, version, create_time
  FROM accounts WHERE user_id = (SELECT user_id FROM resets WHERE mail_id = :mail_id AND expire_time > :now);

-- name: reset_password(mail_id, now, second_factor, password_hash, password_length, notice_id, email, create_time, details, event)$
WITH changed AS (
    UPDATE accounts SET password_hash = :password_hash, password_length = :password_length
      FROM resets
     WHERE mail_id = :mail_id AND expire_time > :now
       AND accounts.user_id = resets.user_id AND totp_confirmed = :second_factor
    RETURNING accounts.user_id
), used AS (
    DELETE FROM resets USING changed WHERE resets.user_id = changed.user_id
), ended AS (
    DELETE FROM sessions USING changed WHERE sessions.user_id = changed.user_id
), revoked AS (
    DELETE FROM api_keys USING changed WHERE api_keys.user_id = changed.user_id
), closed AS (
    DELETE FROM challenges USING changed WHERE challenges.user_id = changed.user_id
), mail AS (
    INSERT INTO mails (mail_id, kind, email, create_time, details)
    SELECT :notice_id, 'password_changed', :email, :create_time::timestamptz, :details::jsonb FROM changed
)
INSERT INTO outbox SELECT (:event::new_event).*, 1 FROM changed RETURNING event_id;

-- name: get_mail(mail_id)^
SELECT mail_id, kind, email, create_time, details FROM mails WHERE mail_id = :mail_id;

-- name: get_account(user_id)^
SELECT user_id, organisation_id, email, password_hash, password_length, roles, totp_seed, totp_confirmed,
       totp_step, version, create_time
  FROM accounts WHERE user_id = :user_id;

-- name: get_account_of(email_key)^
SELECT user_id, organisation_id, email, password_hash, password_length, roles, totp_seed, totp_confirmed,
       totp_step, version, create_time
  FROM accounts WHERE email_key = :email_key;

-- name: set_password(user_id, old_hash, second_factor, password_hash, password_length, keep, notice_id, email, create_time, details, event)$
WITH changed AS (
    UPDATE accounts SET password_hash = :password_hash, password_length = :password_length
     WHERE user_id = :user_id AND password_hash = :old_hash AND totp_confirmed = :second_factor RETURNING user_id
), resets_taken_back AS (
    DELETE FROM resets USING changed WHERE resets.user_id = changed.user_id
), ended AS (
    DELETE FROM sessions USING changed WHERE sessions.user_id = changed.user_id AND session_id <> :keep
), closed AS (
    DELETE FROM challenges USING changed WHERE challenges.user_id = changed.user_id
), mail AS (
    INSERT INTO mails (mail_id, kind, email, create_time, details)
    SELECT :notice_id, 'password_changed', :email, :create_time::timestamptz, :details::jsonb FROM changed
)
INSERT INTO outbox SELECT (:event::new_event).*, 1 FROM changed RETURNING event_id;

-- name: rehash(user_id, old, new)!
UPDATE accounts SET password_hash = :new WHERE user_id = :user_id AND password_hash = :old;

-- name: lock_account(user_id)!
-- What is written next sees every session and challenge that somebody was about to put.
SELECT FROM accounts WHERE user_id = :user_id FOR NO KEY UPDATE;

-- name: put_challenge(challenge, user_id, password_hash, second_factor, device, expire_time)$
-- FOR SHARE: waits for a change of the password, and makes one wait.
INSERT INTO challenges (challenge, user_id, device, expire_time)
SELECT :challenge, user_id, :device, :expire_time::timestamptz FROM accounts
 WHERE user_id = :user_id AND password_hash = :password_hash AND totp_confirmed = :second_factor FOR SHARE
RETURNING user_id;

-- name: get_challenged(challenge, now)^
SELECT user_id, organisation_id, email, password_hash, password_length, roles, totp_seed, totp_confirmed,
       totp_step, version, create_time, device
  FROM challenges JOIN accounts USING (user_id) WHERE challenge = :challenge AND expire_time > :now;

-- name: close_challenge(challenge)$
DELETE FROM challenges WHERE challenge = :challenge RETURNING user_id;

-- name: put_session(session_id, user_id, password_hash, second_factor, device, token_hash, create_time, refresh_time, expire_time, others, device_hash, other_devices, notice_id, email, details, event)$
-- Of two log-ins from one new device the later waits for the earlier at `fresh`, and finds it known.
WITH shown AS (
    SELECT user_id FROM accounts
     WHERE user_id = :user_id AND password_hash = :password_hash AND totp_confirmed = :second_factor FOR SHARE
), too_many AS (
    DELETE FROM sessions WHERE session_id IN (
        SELECT session_id FROM sessions JOIN shown USING (user_id) ORDER BY session_id DESC OFFSET :others)
), begun AS (
    INSERT INTO sessions (session_id, user_id, device, token_hash, create_time, refresh_time, expire_time)
    SELECT :session_id, user_id, :device, :token_hash::bytea, :create_time::timestamptz, :refresh_time::timestamptz,
           :expire_time::timestamptz
      FROM shown
    RETURNING session_id
), known AS (
    UPDATE devices SET use_time = :create_time::timestamptz FROM shown
     WHERE devices.user_id = shown.user_id AND device_hash = :device_hash::bytea
), fresh AS (
    INSERT INTO devices (user_id, device_hash, use_time)
    SELECT user_id, :device_hash::bytea, :create_time::timestamptz FROM shown
    ON CONFLICT (user_id, device_hash) DO NOTHING
    RETURNING user_id
), forgotten AS (
    DELETE FROM devices WHERE (user_id, device_hash) IN (
        SELECT user_id, device_hash FROM devices JOIN fresh USING (user_id)
         ORDER BY use_time DESC, device_hash OFFSET :other_devices)
), elsewhere AS (
    SELECT user_id FROM fresh WHERE EXISTS (SELECT FROM devices WHERE devices.user_id = fresh.user_id)
), mail AS (
    INSERT INTO mails (mail_id, kind, email, create_time, details)
    SELECT :notice_id, 'new_device', :email, :create_time::timestamptz, :details::jsonb FROM elsewhere
), told AS (
    INSERT INTO outbox SELECT (:event::new_event).*, 1 FROM elsewhere
)
SELECT session_id FROM begun;

-- name: rotate(session_id, old, new, now, idle_since)^
-- Who is no longer in the organisation goes on in their own.
WITH rotated AS (
    UPDATE sessions
       SET previous_hash = token_hash, token_hash = :new, refresh_time = :now,
           organisation_id = (SELECT organisation_id FROM members
                               WHERE members.organisation_id = sessions.organisation_id
                                 AND members.user_id = sessions.user_id)
     WHERE session_id = :session_id AND token_hash = :old AND expire_time > :now AND refresh_time > :idle_since
    RETURNING session_id, user_id, device, create_time, refresh_time, expire_time, organisation_id
)
SELECT session_id, rotated.user_id, device, rotated.create_time, refresh_time, expire_time,
       coalesce(members.organisation_id, accounts.organisation_id) AS organisation_id,
       roles || coalesce(role, 'owner') AS roles
  FROM rotated JOIN accounts ON accounts.user_id = rotated.user_id
       LEFT JOIN members ON members.organisation_id = rotated.organisation_id AND members.user_id = rotated.user_id;

-- name: repeat(session_id, previous, rotated_since, now)^
SELECT session_id, sessions.user_id, device, sessions.create_time, refresh_time, expire_time,
       coalesce(members.organisation_id, accounts.organisation_id) AS organisation_id,
       roles || coalesce(role, 'owner') AS roles
  FROM sessions JOIN accounts ON accounts.user_id = sessions.user_id
       LEFT JOIN members ON members.organisation_id = sessions.organisation_id AND members.user_id = sessions.user_id
 WHERE session_id = :session_id AND previous_hash = :previous AND refresh_time >= :rotated_since
   AND expire_time > :now;

-- name: get_sessions(user_id, now, idle_since, limit)
SELECT session_id, user_id, device, create_time, refresh_time, expire_time
  FROM sessions WHERE user_id = :user_id AND expire_time > :now AND refresh_time > :idle_since
 ORDER BY session_id DESC LIMIT :limit;

-- name: get_living(session_id, organisation_id, now, idle_since)^
SELECT session_id, sessions.user_id, device, sessions.create_time, refresh_time, expire_time,
       coalesce(members.organisation_id, accounts.organisation_id) AS organisation_id,
       roles || coalesce(role, 'owner') AS roles
  FROM sessions JOIN accounts ON accounts.user_id = sessions.user_id
       LEFT JOIN members ON members.organisation_id = coalesce(:organisation_id, sessions.organisation_id)
                        AND members.user_id = sessions.user_id
 WHERE session_id = :session_id AND expire_time > :now AND refresh_time > :idle_since;

-- name: switch(session_id, user_id, organisation_id)^
-- NULL stands for the personal one.
WITH chosen AS (
    SELECT organisation_id, user_id, role, personal FROM memberships
     WHERE organisation_id = :organisation_id AND user_id = :user_id
), switched AS (
    UPDATE sessions SET organisation_id = CASE WHEN NOT personal THEN chosen.organisation_id END
      FROM chosen WHERE session_id = :session_id AND sessions.user_id = chosen.user_id
    RETURNING session_id, device, create_time, refresh_time, expire_time
)
SELECT session_id, user_id, device, switched.create_time, refresh_time, expire_time, chosen.organisation_id,
       roles || role AS roles
  FROM switched, chosen JOIN accounts USING (user_id);

-- name: end_session(session_id, user_id)$
DELETE FROM sessions WHERE session_id = :session_id AND user_id = coalesce(:user_id, user_id) RETURNING session_id;

-- name: end_sessions(user_id)$
WITH ended AS (DELETE FROM sessions WHERE user_id = :user_id RETURNING session_id)
SELECT count(*)::integer FROM ended;

-- name: put_totp(user_id, seed)$
UPDATE accounts SET totp_seed = :seed WHERE user_id = :user_id AND NOT totp_confirmed RETURNING user_id;

-- name: use_step(user_id, step)$
UPDATE accounts SET totp_step = :step WHERE user_id = :user_id AND totp_step < :step RETURNING user_id;

-- name: confirm_totp(user_id, seed, codes, notice_id, email, create_time, details, event)$
WITH confirmed AS (
    UPDATE accounts SET totp_confirmed = true, recovery_codes = :codes::bytea[]
     WHERE user_id = :user_id AND totp_seed = :seed AND NOT totp_confirmed RETURNING user_id
), mail AS (
    INSERT INTO mails (mail_id, kind, email, create_time, details)
    SELECT :notice_id, 'totp_enabled', :email, :create_time::timestamptz, :details::jsonb FROM confirmed
)
INSERT INTO outbox SELECT (:event::new_event).*, 1 FROM confirmed RETURNING event_id;

-- name: drop_totp(user_id, password_hash, notice_id, email, create_time, details, event)$
WITH off AS (
    UPDATE accounts SET totp_confirmed = false, totp_seed = NULL, recovery_codes = '{}'
     WHERE user_id = :user_id AND password_hash = :password_hash AND totp_confirmed RETURNING user_id
), mail AS (
    INSERT INTO mails (mail_id, kind, email, create_time, details)
    SELECT :notice_id, 'totp_disabled', :email, :create_time::timestamptz, :details::jsonb FROM off
)
INSERT INTO outbox SELECT (:event::new_event).*, 1 FROM off RETURNING event_id;

-- name: replace_codes(user_id, seed, codes, notice_id, email, create_time, details, event)$
WITH replaced AS (
    UPDATE accounts SET recovery_codes = :codes::bytea[]
     WHERE user_id = :user_id AND totp_seed = :seed AND totp_confirmed RETURNING user_id
), mail AS (
    INSERT INTO mails (mail_id, kind, email, create_time, details)
    SELECT :notice_id, 'recovery_codes_replaced', :email, :create_time::timestamptz, :details::jsonb FROM replaced
)
INSERT INTO outbox SELECT (:event::new_event).*, 1 FROM replaced RETURNING event_id;

-- name: use_code(user_id, code)$
UPDATE accounts SET recovery_codes = array_remove(recovery_codes, :code::bytea)
 WHERE user_id = :user_id AND :code::bytea = ANY (recovery_codes) RETURNING user_id;

-- name: set_roles(user_id, version, roles, event)$
-- Locks the administrators, so that two of them cannot take each other's role at once.
WITH administrators AS (
    SELECT user_id FROM accounts WHERE 'administrator' = ANY (roles) ORDER BY user_id FOR NO KEY UPDATE
), changed AS (
    UPDATE accounts SET roles = :roles::text[], version = version + 1
     WHERE user_id = :user_id AND version = :version
       AND ('administrator' = ANY (:roles::text[])
            OR NOT 'administrator' = ANY (accounts.roles)
            OR (SELECT count(*) FROM administrators) > 1)
    RETURNING version
)
INSERT INTO outbox SELECT (:event::new_event).*, version FROM changed RETURNING event_id;

-- name: administrators()$
SELECT count(*)::integer FROM accounts WHERE 'administrator' = ANY (roles);

-- name: get_keys()
SELECT sign_from, kid, public_jwk, private_sealed FROM signing_keys ORDER BY sign_from DESC;

-- name: put_key(sign_from, kid, public_jwk, private_sealed)!
INSERT INTO signing_keys (sign_from, kid, public_jwk, private_sealed)
VALUES (:sign_from, :kid, :public_jwk, :private_sealed) ON CONFLICT (sign_from) DO NOTHING;

-- name: drop_keys(expired)!
-- Of the keys that began to sign before `expired` all but the last: the tokens of the others have expired too.
DELETE FROM signing_keys
 WHERE sign_from < (SELECT max(sign_from) FROM signing_keys WHERE sign_from <= :expired);

-- name: clean_devices(before, batch)$
-- An account whose devices are all forgotten keeps a row that is none of them: its next device is not its first.
WITH old AS (
    DELETE FROM devices WHERE (user_id, device_hash) IN (
        SELECT user_id, device_hash FROM devices WHERE use_time < :before LIMIT :batch) AND use_time < :before
    RETURNING user_id
), still_there AS (
    SELECT user_id FROM accounts WHERE user_id IN (SELECT user_id FROM old) FOR KEY SHARE SKIP LOCKED
), mark AS (
    INSERT INTO devices (user_id, device_hash, use_time) SELECT user_id, '', 'infinity' FROM still_there
    ON CONFLICT (user_id, device_hash) DO NOTHING
)
SELECT count(*)::integer FROM old;

-- name: clean(now, mails_before, batch)$
-- Sessions that are merely idle stay until they expire: an index on refresh_time would cost every refresh.
WITH old_signups AS (
    DELETE FROM signups WHERE mail_id IN (SELECT mail_id FROM signups WHERE expire_time < :now LIMIT :batch)
    RETURNING 1
), old_resets AS (
    DELETE FROM resets WHERE mail_id IN (SELECT mail_id FROM resets WHERE expire_time < :now LIMIT :batch) RETURNING 1
), old_mails AS (
    DELETE FROM mails WHERE mail_id IN (SELECT mail_id FROM mails WHERE create_time < :mails_before LIMIT :batch)
    RETURNING 1
), old_challenges AS (
    DELETE FROM challenges WHERE challenge IN (
        SELECT challenge FROM challenges WHERE expire_time < :now LIMIT :batch) RETURNING 1
), old_sessions AS (
    DELETE FROM sessions WHERE session_id IN (SELECT session_id FROM sessions WHERE expire_time < :now LIMIT :batch)
    RETURNING 1
)
SELECT greatest((SELECT count(*) FROM old_signups), (SELECT count(*) FROM old_resets), (SELECT count(*) FROM old_mails),
                (SELECT count(*) FROM old_challenges), (SELECT count(*) FROM old_sessions))::integer;
