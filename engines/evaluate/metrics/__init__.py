"""Metrics: small functions from arrays to numbers, each with its source."""
