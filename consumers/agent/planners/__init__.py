"""Planners: each decides the next action of an agent from the conversation. They make no calls themselves."""
