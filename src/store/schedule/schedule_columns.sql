SELECT id, name, cron, zone, catch_up, catch_up_max, paused, paused_at, resumed_at, template, decided_until, next_at, pruned_until,
       created_at, last_error FROM schedule
