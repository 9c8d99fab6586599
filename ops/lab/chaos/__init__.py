"""Fault injection with an oracle: processes, brokers, network, clocks. Speed is not measured here."""
