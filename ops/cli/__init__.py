"""The commands of ``headrace``, one module each: arguments in, output out. No other logic belongs here."""
