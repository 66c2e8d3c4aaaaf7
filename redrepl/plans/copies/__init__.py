"""Plans that bring copies to one state, and show whether they are in it."""
