"""From a request to the journal."""
