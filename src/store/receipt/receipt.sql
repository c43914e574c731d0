-- name: find
SELECT answer FROM receipt WHERE sent = ?1 AND token = ?2;

-- name: forget
-- Those of requests by name, see `request.rs`.
DELETE FROM receipt
 WHERE (sent, token) IN (SELECT sent, token FROM receipt WHERE sent < ?1 UNION ALL SELECT sent, token FROM receipt WHERE sent > ?2 AND sent < 0
                          LIMIT ?3);

-- name: has_old
SELECT EXISTS (SELECT 1 FROM receipt WHERE sent >= 0 AND sent < ?1) OR EXISTS (SELECT 1 FROM receipt WHERE sent > ?2);

-- name: keep
INSERT INTO receipt (sent, token, answer) VALUES (?1, ?2, ?3);

-- name: prune
DELETE FROM receipt
 WHERE (sent, token) IN (SELECT sent, token FROM receipt WHERE sent >= 0 AND sent < ?1 UNION ALL SELECT sent, token FROM receipt WHERE sent > ?2
                          LIMIT ?3);
