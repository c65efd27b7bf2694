"""Ways of running exported graphs."""
