"""Reads YAML into a frozen Config: `models` has the values, and `load` reports all problems at
once."""
