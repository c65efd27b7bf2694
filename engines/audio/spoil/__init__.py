"""Sound made worse, as microphones, rooms and networks make it, with its timing kept."""
