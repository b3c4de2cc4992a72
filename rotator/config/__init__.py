"""YAML → frozen Config: `models` holds the values, `load` reads them with every problem at once."""
