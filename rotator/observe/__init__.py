"""Observers of events: Prometheus metrics, the log, and traces."""
