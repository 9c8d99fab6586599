"""The steps: what happens to a request, with no Kafka inside."""
