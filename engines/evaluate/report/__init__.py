"""What a run found, as tables, pictures and pages."""
