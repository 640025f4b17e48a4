-- The session behind a connection.

-- name: settings
SELECT set_config(name, value, false) FROM unnest(%(names)s::text[], %(values)s::text[]) AS s (name, value);

-- name: session
SELECT current_setting('prediction.session', true);

-- name: dropped
-- Settings of the address's own `options` that are not in force. Names with a dot are unknown to pg_settings.
SELECT s.name FROM unnest(%(names)s::text[], %(values)s::text[]) AS s (name, value)
LEFT JOIN pg_settings p ON lower(p.name) = lower(s.name)
WHERE CASE WHEN p.name IS NULL THEN current_setting(s.name, true) IS DISTINCT FROM s.value
           ELSE p.source NOT IN ('client', 'session') END;
