-- Preferences. What each statement promises is said by services.notifications.domain.preferences.PreferencesStore.

-- name: get_preferences(user_id)^
SELECT user_id, choices, quiet_start, quiet_end, version, update_time FROM preferences WHERE user_id = :user_id;

-- name: save_preferences(user_id, choices, quiet_start, quiet_end, version, update_time)$
INSERT INTO preferences AS old (user_id, choices, quiet_start, quiet_end, version, update_time)
SELECT :user_id, :choices::jsonb, :quiet_start::time, :quiet_end::time, :version::bigint, :update_time::timestamptz
 WHERE :version::bigint = 1 OR EXISTS (SELECT FROM preferences WHERE user_id = :user_id)
ON CONFLICT (user_id) DO UPDATE
   SET choices = excluded.choices, quiet_start = excluded.quiet_start, quiet_end = excluded.quiet_end,
       version = excluded.version, update_time = excluded.update_time
 WHERE old.version = excluded.version - 1
RETURNING version;
