"""Run suspects in child processes: parent, child and their frames. Suspicion itself belongs to the engine."""
