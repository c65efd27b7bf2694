"""Speech heard: the causal audio encoder, and the tools that make, train and judge it."""
