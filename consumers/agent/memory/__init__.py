"""Memory of agents: ports and stores, filtered by tenant and subject first. Journals do not belong here."""
