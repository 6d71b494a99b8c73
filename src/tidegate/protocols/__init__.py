"""One file per protocol: greet, authenticate, connect upstream, hand over to the relay."""
