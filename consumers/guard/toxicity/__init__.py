"""The toxicity guard, with a model that the operator supplies. No word list belongs here: it is no toxicity score."""
