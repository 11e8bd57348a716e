"""Where messages come from: Kafka and files; and how partitions are merged into one order of event time."""
