"""The steps that process a request, and what they share. Kafka clients, topics and offsets do not belong here."""
