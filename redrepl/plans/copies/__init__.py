"""Plans that bring copies to one state, keep them there, and show whether they are."""
