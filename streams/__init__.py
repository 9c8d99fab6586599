"""The flow of records: journey, stages, engine, transport. What a step does to a request belongs to ``consumers``."""
