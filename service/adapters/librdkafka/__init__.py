"""Kafka through librdkafka (confluent-kafka): the extra `nnstream[librdkafka]`."""
