"""Move a cluster to its next layout. The first layout belongs to ``ops.provision``."""
