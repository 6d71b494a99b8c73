"""Text to operations: pure classification by real parsers."""
