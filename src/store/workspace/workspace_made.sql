INSERT INTO workspace (key, dir, recipe, bytes, prepared_at, last_used_at, measured_at, boot_id)
VALUES (?1, ?2, ?3, ?4, ?5, ?5, iif(?4 IS NULL, NULL, ?5), ?6)
