"""Unit tests of tools: their arguments."""
