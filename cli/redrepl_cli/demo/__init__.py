"""`redrepl demo`: the main job on real servers, measured while it happens."""
