INSERT INTO schedule (name, cron, zone, catch_up, catch_up_max, template, created_at, decided_until, next_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?7, ?8)
