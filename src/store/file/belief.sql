-- name: facts
-- The current values. Rows may be pruned and sequences lowered by hand, so the higher of the two
-- counts. A client may have set a sequence to a text.
SELECT (SELECT value FROM meta WHERE key = 'file_id'),
       coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'generation'), 0),
       coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'run_id_limit'), 0),
       max(coalesce((SELECT CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'job'), 0), coalesce((SELECT max(id) FROM job), 0)),
       max(coalesce((SELECT CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'event'), 0), coalesce((SELECT max(id) FROM event), 0));

-- name: events
SELECT max(coalesce((SELECT CAST(seq AS INTEGER) FROM sqlite_sequence WHERE name = 'event'), 0), coalesce((SELECT max(id) FROM event), 0));
