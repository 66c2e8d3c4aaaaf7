"""What programs use: thin objects over the plans."""
