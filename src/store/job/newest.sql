-- name: by_hand
-- A job of a schedule has the instant in its environment; a quotation mark within a value is
-- escaped, so this text is the name of a variable.
SELECT id FROM job WHERE task_id IS NULL AND owner IS NULL AND instr(env, '"TENURE_SCHEDULED_FOR":') = 0 ORDER BY id DESC LIMIT 1;

-- name: ended
SELECT id FROM job WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT ?1;
