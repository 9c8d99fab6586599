"""The budgets of model calls: the port, its stores, and the seam that a run waits at. Prices and ledgers are not here."""
