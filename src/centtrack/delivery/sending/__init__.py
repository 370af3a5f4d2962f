"""From the journal to a sink, whatever the sink does."""
