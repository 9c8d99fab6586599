"""How records flow: journey, stages, engine, transport. What a step does to a request belongs to ``consumers``."""
