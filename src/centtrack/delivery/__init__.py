"""Recorder (queue → journal), journal, deliverer (journal → sink), and the counters that close."""
