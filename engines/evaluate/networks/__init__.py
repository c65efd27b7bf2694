"""Networks that metrics are measured with: where their weights are, and how they are run."""
