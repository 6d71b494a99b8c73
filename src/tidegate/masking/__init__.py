"""Which fields are sensitive, and what becomes of their values."""
