"""From videos to what faces in them do."""
