"""Tools: their definition, their arguments, and one call of one tool. Choosing tools is a planner's task."""
