-- Whether two connections lead to one database.

-- name: whose
-- What the source is read as, besides the address's options.
SELECT current_user::text, session_user::text, current_database()::text, current_setting('search_path');

-- name: try_lock
SELECT pg_try_advisory_xact_lock(%(key)s);
