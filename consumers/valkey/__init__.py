"""The connection to Valkey that journals and budgets share. Keys and scripts belong to the stores that use them."""
