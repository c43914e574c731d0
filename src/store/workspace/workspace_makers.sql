-- The runs that prepare, the jobs that make themselves an empty one, and commands in the foreground.
SELECT nonce FROM run WHERE finished_at IS NULL AND kind IN ('job', 'prepare')
UNION ALL
SELECT nonce FROM lease WHERE run_id IS NULL AND name GLOB 'workspace/*'
