"""The dashboard as code: `make dashboard` writes deploy/grafana/rotator.json from it.

queries says which series, parts how things look, and each of the other modules is a row or two.
"""
