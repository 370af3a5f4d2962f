"""From a topic of Apache Kafka to a sink, as a member of a consumer group. Needs the extra `kafka`."""
