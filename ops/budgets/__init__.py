"""Budgets for operators: changes of limits, the ledger, and the rebuild. Limiting calls belongs to agents."""
