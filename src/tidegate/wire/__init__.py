"""Sans-I/O protocol framing: bytes in, requests and bytes out."""
