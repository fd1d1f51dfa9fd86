"""The use cases, each readable as its steps."""
