"""Recordings: every byte of a session, framed, compressed, sealed."""
