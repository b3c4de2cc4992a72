"""HTTP: metrics, health, a read-only API, one request that acts, and a page for people."""
