"""Run a stage on its shards: fetch, dispatch, commit, recover. Business rules of a stage do not belong here."""
