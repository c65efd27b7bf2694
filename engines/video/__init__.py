"""The video generator: regions of a face, their codec, the diffusion transformer, its training."""
