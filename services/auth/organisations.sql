-- Every statement about organisations, by name (aiosql), as in queries.sql.

-- name: lock_account(user_id)!
-- Two organisations that somebody makes or joins at once are counted one after the other.
SELECT FROM accounts WHERE user_id = :user_id FOR NO KEY UPDATE;

-- name: lock_organisation(organisation_id)!
-- What is written next sees everything that others were about to write. After accounts, where both are locked.
SELECT FROM organisations WHERE organisation_id = :organisation_id FOR NO KEY UPDATE;

-- name: create_organisation(organisation_id, name, user_id, create_time, most, event)$
WITH made AS (
    INSERT INTO organisations (organisation_id, name, create_time)
    SELECT :organisation_id, :name, :create_time::timestamptz
     WHERE (SELECT count(*) FROM members WHERE user_id = :user_id) < :most::integer
    RETURNING organisation_id, version, create_time
), owner AS (
    INSERT INTO members (organisation_id, user_id, role, join_time)
    SELECT organisation_id, :user_id, 'owner', create_time FROM made
)
INSERT INTO outbox SELECT (:event::new_event).*, version FROM made RETURNING event_id;

-- name: get_memberships(user_id)
SELECT organisation_id, coalesce(name, '') AS name, role, personal, coalesce(create_time, join_time) AS create_time
  FROM memberships LEFT JOIN organisations USING (organisation_id)
 WHERE user_id = :user_id ORDER BY personal DESC, organisation_id;

-- name: rename_organisation(organisation_id, name)!
UPDATE organisations SET name = :name WHERE organisation_id = :organisation_id;

-- name: get_roster(organisation_id)
SELECT name, version, user_id, role FROM organisations JOIN members USING (organisation_id)
 WHERE organisation_id = :organisation_id;

-- name: put_member(organisation_id, version, user_id, role, now, event)$
-- Who changes another version waits for this one, finds its number gone and changes nothing.
WITH changed AS (
    UPDATE organisations SET version = version + 1 WHERE organisation_id = :organisation_id AND version = :version
    RETURNING organisation_id, version
), put AS (
    INSERT INTO members (organisation_id, user_id, role, join_time)
    SELECT organisation_id, :user_id, :role, :now::timestamptz FROM changed
    ON CONFLICT (organisation_id, user_id) DO UPDATE SET role = excluded.role
)
INSERT INTO outbox SELECT (:event::new_event).*, version FROM changed RETURNING event_id;

-- name: drop_member(organisation_id, version, user_id, event)$
WITH changed AS (
    UPDATE organisations SET version = version + 1 WHERE organisation_id = :organisation_id AND version = :version
    RETURNING organisation_id, version
), dropped AS (
    DELETE FROM members USING changed
     WHERE members.organisation_id = changed.organisation_id AND user_id = :user_id
)
INSERT INTO outbox SELECT (:event::new_event).*, version FROM changed RETURNING event_id;

-- name: get_members(organisation_id, after, limit)
SELECT user_id, role, join_time, email FROM memberships JOIN accounts USING (user_id)
 WHERE memberships.organisation_id = :organisation_id AND user_id > :after ORDER BY user_id LIMIT :limit;

-- name: get_member(organisation_id, user_id)^
SELECT user_id, role, join_time, email FROM memberships JOIN accounts USING (user_id)
 WHERE memberships.organisation_id = :organisation_id AND user_id = :user_id;

-- name: invite(invitation_id, organisation_id, mail_id, email, email_key, role, inviter_id, create_time, expire_time, most, details, event)$
-- The mail of the earlier invitation, if it still waits, goes to nobody.
WITH earlier AS (
    SELECT mail_id FROM invitations WHERE organisation_id = :organisation_id AND email_key = :email_key
), put AS (
    INSERT INTO invitations (
        invitation_id, organisation_id, mail_id, email, email_key, role, inviter_id, create_time, expire_time
    )
    SELECT :invitation_id, :organisation_id, :mail_id, :email, :email_key, :role, :inviter_id,
           :create_time::timestamptz, :expire_time::timestamptz
     WHERE (SELECT count(*) FROM invitations
             WHERE organisation_id = :organisation_id AND email_key <> :email_key
               AND expire_time > :create_time) < :most::integer
    ON CONFLICT (organisation_id, email_key) DO UPDATE
       SET invitation_id = excluded.invitation_id, mail_id = excluded.mail_id, email = excluded.email,
           role = excluded.role, inviter_id = excluded.inviter_id, create_time = excluded.create_time,
           expire_time = excluded.expire_time
    RETURNING mail_id
), unsent AS (
    UPDATE mails SET kind = 'nobody' FROM earlier, put WHERE mails.mail_id = earlier.mail_id
), mail AS (
    INSERT INTO mails (mail_id, kind, email, create_time, details)
    SELECT mail_id, 'invitation', :email, :create_time::timestamptz, :details::jsonb FROM put
)
INSERT INTO outbox SELECT (:event::new_event).*, 1 FROM put RETURNING event_id;

-- name: get_invitations(organisation_id, now)
SELECT invitation_id, organisation_id, mail_id, email, role, inviter_id, create_time, expire_time
  FROM invitations WHERE organisation_id = :organisation_id AND expire_time > :now ORDER BY invitation_id DESC;

-- name: get_invitation(mail_id, now)^
SELECT invitation_id, organisation_id, mail_id, email, role, inviter_id, create_time, expire_time
  FROM invitations WHERE mail_id = :mail_id AND expire_time > :now;

-- name: revoke(organisation_id, invitation_id, now)$
WITH revoked AS (
    DELETE FROM invitations
     WHERE organisation_id = :organisation_id AND invitation_id = :invitation_id AND expire_time > :now
    RETURNING invitation_id, mail_id
), unsent AS (
    UPDATE mails SET kind = 'nobody' FROM revoked WHERE mails.mail_id = revoked.mail_id
)
SELECT invitation_id FROM revoked;

-- name: accept(invitation_id, organisation_id, version, user_id, role, most, now, event)$
WITH changed AS (
    UPDATE organisations SET version = version + 1
     WHERE organisation_id = :organisation_id AND version = :version
       AND EXISTS (SELECT FROM invitations WHERE invitation_id = :invitation_id AND expire_time > :now)
       AND (SELECT count(*) FROM members
             WHERE user_id = :user_id AND organisation_id <> :organisation_id) < :most::integer
    RETURNING organisation_id, version
), used AS (
    DELETE FROM invitations USING changed WHERE invitation_id = :invitation_id
), joined AS (
    INSERT INTO members (organisation_id, user_id, role, join_time)
    SELECT organisation_id, :user_id, :role, :now::timestamptz FROM changed
    ON CONFLICT (organisation_id, user_id) DO NOTHING
)
INSERT INTO outbox SELECT (:event::new_event).*, version FROM changed RETURNING event_id;

-- name: clean(now, batch)$
WITH old AS (
    DELETE FROM invitations WHERE invitation_id IN (
        SELECT invitation_id FROM invitations WHERE expire_time < :now LIMIT :batch) RETURNING 1
)
SELECT count(*)::integer FROM old;
