"""Fuzz targets that misbehave, each in its own way: the harness must notice."""
