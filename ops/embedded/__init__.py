"""Servers from packages: Kafka, Valkey, a local model, a scripted model. Topics and tenants do not belong here."""
