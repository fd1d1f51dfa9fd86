"""What is valid and still looks wrong to somebody who runs mail servers.

Rule: pure; a rule knows manifests and their fields, not files. What cannot be meant is an error;
where the vendor's pages only suggest a rule, it is no more than a warning.
"""
