"""Rules and their evaluation: pure functions from facts to a decision."""
