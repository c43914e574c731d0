-- name: sequences_end
SELECT EXISTS (SELECT 1 FROM sqlite_sequence WHERE seq >= 9223372036854775807)
 OR max((SELECT coalesce(max(id), 0) FROM job), (SELECT coalesce(max(id), 0) FROM cancel), (SELECT coalesce(max(id), 0) FROM event))
    >= 9223372036854775807;
