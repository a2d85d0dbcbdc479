"""The streaming service around `nnstream`: events in from Kafka, predictions out, metrics beside."""
