"""The local cluster that `redrepl up` runs."""
