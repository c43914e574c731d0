SELECT policy FROM job
 WHERE state IN ('queued', 'running') AND instr(policy, '"secrets"') + instr(policy, '"kept"') > 0
