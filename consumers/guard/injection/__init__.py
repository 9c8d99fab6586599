"""The injection guard: its rules, its classifier and the seams of other models. No other detector belongs here."""
