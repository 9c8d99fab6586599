"""The port to Kafka: consumers, producers, readers, admin. Only this package imports aiokafka."""
