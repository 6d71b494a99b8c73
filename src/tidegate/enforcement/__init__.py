"""The one road: Door.admit, Session.judge, settle, mask, record, relay."""
