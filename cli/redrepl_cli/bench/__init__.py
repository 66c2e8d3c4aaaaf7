"""`redrepl bench`: what redrepl's operations cost beside redis-py's own, measured side by side in one run."""
