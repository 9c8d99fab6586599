"""Track completed offsets of a partition, and relocate long runs. Pure values; no Kafka client belongs here."""
