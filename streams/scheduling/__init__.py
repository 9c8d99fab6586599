"""Decide which job starts next and when a shard commits. Pure; no Kafka client belongs here."""
