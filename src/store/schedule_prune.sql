DELETE FROM slot
 WHERE (schedule_id, at) IN (
   SELECT slot.schedule_id, slot.at FROM schedule CROSS JOIN slot ON slot.schedule_id = schedule.id AND slot.at < ?1
    WHERE slot.last_at < ?1
      AND slot.at IS NOT (SELECT max(at) FROM slot newest WHERE newest.schedule_id = schedule.id AND newest.state = 'fired')
    LIMIT ?2)
