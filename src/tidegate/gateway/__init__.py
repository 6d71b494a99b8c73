"""Listeners: accept, limit, drain."""
