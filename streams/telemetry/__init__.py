"""Metrics, spans and trace context. Exporters and settings belong to ``ops``."""
