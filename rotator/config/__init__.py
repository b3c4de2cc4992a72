"""YAML → frozen Config. `models` holds the values; `load` reads them and reports all problems at
once."""
