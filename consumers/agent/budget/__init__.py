"""The budgets of model calls: the port, its stores, and the seam at which a run waits. Ledgers are not here."""
