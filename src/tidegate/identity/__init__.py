"""Who asks: tokens, chains, grants."""
