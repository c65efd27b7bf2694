"""What the generator is trained on: people, how they move, and the clips of it on disk."""
