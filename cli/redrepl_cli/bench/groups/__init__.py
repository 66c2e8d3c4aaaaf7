"""The groups: which subjects take turns with each other, and on what."""
