"""How well a mouth follows speech: measures, tables, films and sheets."""
