-- Every statement of users, by name (aiosql). Columns are listed, so that this code goes on running
-- when a migration adds one.

-- name: get_profile(user_id)^
SELECT user_id, organisation_id, display_name, handle, locale, time_zone, avatar_url, version,
       create_time, update_time
  FROM profiles WHERE user_id = :user_id;

-- name: get_profiles(user_ids)
SELECT user_id, organisation_id, display_name, handle, locale, time_zone, avatar_url, version,
       create_time, update_time
  FROM profiles WHERE user_id = ANY(:user_ids::text[]);

-- name: page_of_profiles(after, limit)
SELECT user_id, organisation_id, display_name, handle, locale, time_zone, avatar_url, version,
       create_time, update_time
  FROM profiles WHERE user_id > :after ORDER BY user_id LIMIT :limit;

-- name: page_of_handles(prefix, after, limit)
-- No character of a handle sorts after `~`. The index serves ranges whatever the prefix is, which
-- LIKE with a parameter would not let it do.
SELECT user_id, organisation_id, display_name, handle, locale, time_zone, avatar_url, version,
       create_time, update_time
  FROM profiles
 WHERE handle <> '' AND handle >= :prefix AND handle < :prefix || '~' AND user_id > :after
 ORDER BY user_id LIMIT :limit;

-- name: get_preferences(user_id)^
SELECT user_id, organisation_id, theme, product_news, week_start, version, update_time
  FROM preferences WHERE user_id = :user_id;

-- name: create_person(organisation_id, user_id, display_name, handle, locale, time_zone, avatar_url, version, create_time, update_time, theme, product_news, week_start)!
WITH newcomer AS (
    INSERT INTO profiles (
        organisation_id, user_id, display_name, handle, locale, time_zone, avatar_url,
        version, create_time, update_time
    )
    VALUES (
        :organisation_id, :user_id, :display_name, :handle, :locale, :time_zone, :avatar_url,
        :version, :create_time, :update_time
    )
    ON CONFLICT (user_id) DO NOTHING
    RETURNING organisation_id, user_id, version, update_time
)
INSERT INTO preferences (organisation_id, user_id, theme, product_news, week_start, version, update_time)
SELECT organisation_id, user_id, :theme, :product_news, :week_start, version, update_time FROM newcomer;

-- name: settle(user_id, organisation_id)!
-- Both or neither: preferences refer to the profile by both ids.
WITH profile AS (
    UPDATE profiles SET organisation_id = :organisation_id
     WHERE user_id = :user_id AND organisation_id <> :organisation_id
)
UPDATE preferences SET organisation_id = :organisation_id
 WHERE user_id = :user_id AND organisation_id <> :organisation_id;

-- name: save_profile(display_name, handle, locale, time_zone, avatar_url, version, update_time, user_id, event)$
WITH saved AS (
    UPDATE profiles
       SET display_name = :display_name, handle = :handle, locale = :locale, time_zone = :time_zone,
           avatar_url = :avatar_url, version = :version, update_time = :update_time
     WHERE user_id = :user_id AND version = :version - 1
    RETURNING version
)
INSERT INTO outbox SELECT (:event::new_event).*, version FROM saved RETURNING event_id;

-- name: save_preferences(theme, product_news, week_start, version, update_time, user_id, event)$
WITH saved AS (
    UPDATE preferences
       SET theme = :theme, product_news = :product_news, week_start = :week_start,
           version = :version, update_time = :update_time
     WHERE user_id = :user_id AND version = :version - 1
    RETURNING version
)
INSERT INTO outbox SELECT (:event::new_event).*, version FROM saved RETURNING event_id;
