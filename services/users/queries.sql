-- Every statement of users, by name (aiosql). One of them is one round trip.

-- name: get_profile^
SELECT * FROM profiles WHERE user_id = :user_id;

-- name: get_profiles
SELECT * FROM profiles WHERE user_id = ANY(:user_ids::text[]);

-- name: page_of_profiles
SELECT * FROM profiles WHERE user_id > :after ORDER BY user_id LIMIT :limit;

-- name: page_of_handles
-- No character of a handle sorts after `~`. The index serves ranges whatever the prefix is, which
-- LIKE with a parameter would not let it do.
SELECT * FROM profiles
 WHERE handle <> '' AND handle >= :prefix AND handle < :prefix || '~' AND user_id > :after
 ORDER BY user_id LIMIT :limit;

-- name: get_preferences^
SELECT * FROM preferences WHERE user_id = :user_id;

-- name: create_person!
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
