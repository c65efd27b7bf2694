"""Where speech with phone times comes from: synthesisers, and aligned recordings."""
