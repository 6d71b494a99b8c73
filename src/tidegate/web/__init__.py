"""The HTTP API under /api/v1: the only administrative channel of a running gateway."""
