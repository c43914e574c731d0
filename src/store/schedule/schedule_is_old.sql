slot.at < ?1 AND slot.last_at < ?1
   AND slot.at IS NOT (SELECT max(at) FROM slot newest WHERE newest.schedule_id = slot.schedule_id AND newest.state = 'fired')
