-- The company of the demo: a table of messages that grows while people watch.

-- name: create
-- Keys are numbers unless the messages of a user's file have other ones.
CREATE TABLE IF NOT EXISTS message (
    id         {key},
    text       text NOT NULL,
    channel    text NOT NULL DEFAULT 'app',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS message_updated_at ON message (updated_at);
CREATE OR REPLACE FUNCTION touch_message() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER message_touched BEFORE UPDATE ON message
    FOR EACH ROW EXECUTE FUNCTION touch_message();

-- name: key_type
SELECT format_type(atttypid, atttypmod) FROM pg_attribute
WHERE attrelid = 'message'::regclass AND attname = 'id';

-- name: is_empty
SELECT NOT EXISTS (SELECT FROM message);

-- name: insert
INSERT INTO message (text, channel) VALUES (%(text)s, %(channel)s);

-- name: stage
CREATE TEMPORARY TABLE incoming (id {key} PRIMARY KEY, text text NOT NULL) ON COMMIT DROP;

-- name: copy
COPY incoming (id, text) FROM STDIN (FORMAT csv);

-- name: remove_missing
DELETE FROM message WHERE NOT EXISTS (SELECT FROM incoming WHERE incoming.id = message.id);

-- name: merge
-- A message that did not change keeps its updated_at: nothing is scored again.
INSERT INTO message (id, text) SELECT id, text FROM incoming
ON CONFLICT (id) DO UPDATE SET text = excluded.text WHERE message.text <> excluded.text;

-- name: grant
GRANT SELECT ON message TO {role};

-- name: count
SELECT count(*) FROM message;

-- name: newest_predictions
SELECT m.id, m.text, p.* FROM {view} AS p JOIN message AS m USING (id) ORDER BY p.predicted_at DESC, m.id LIMIT 6;
