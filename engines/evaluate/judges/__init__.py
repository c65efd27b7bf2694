"""Multimodal language models that score videos by rubrics."""
