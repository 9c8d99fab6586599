"""What travels and where: events, results, errors, headers, topics, tenants. Values only, no I/O."""
