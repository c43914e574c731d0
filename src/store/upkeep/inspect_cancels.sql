SELECT EXISTS (SELECT 1 FROM cancel WHERE closed_at IS NULL
                  AND NOT EXISTS (SELECT 1 FROM job WHERE id = cancel.job_id AND state IN ('queued', 'running')))
