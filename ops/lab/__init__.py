"""Experiments on a whole platform: chaos, bench, neighbours. Only their commands and tests import this package."""
