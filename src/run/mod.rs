//! PROCESSES ONLY. Spawner, shim, run file, locks, killing trees, output.
