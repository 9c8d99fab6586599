"""The platform of ``headrace dev`` and ``headrace demo``. The servers belong to ``ops.embedded``."""
