"""Settings in, processes out."""
