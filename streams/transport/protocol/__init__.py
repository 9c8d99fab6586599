"""Requests of the Kafka protocol that we encode ourselves. Connections and retries do not belong here."""
