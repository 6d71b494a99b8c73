"""Tidegate: an identity-aware gateway between AI agents and the systems they use."""

__version__ = "0.1.0"
