-- name: set
INSERT INTO meta (key, value) VALUES ('slots', ?1)
    ON CONFLICT DO UPDATE SET value = excluded.value WHERE value IS NOT excluded.value;
