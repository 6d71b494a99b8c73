"""Telling people outside of the gateway: what, by which channel, and again until it has arrived."""
