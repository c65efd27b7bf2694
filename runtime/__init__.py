"""The live loop: sessions, windows, scheduling. Knows no HTTP."""
