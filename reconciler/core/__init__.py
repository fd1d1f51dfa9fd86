"""What the tool decides: values and pure functions; no files, no network, no clock."""
