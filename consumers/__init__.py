"""The steps that process a request. They contain no Kafka code."""
