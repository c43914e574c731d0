UPDATE resource SET next_at = max(0, next_at + ?1) WHERE state = 'releasing' AND next_at > 0
