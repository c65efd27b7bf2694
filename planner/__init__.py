"""What the avatar's eyes, lids, brows and head do, and where that puts its keypoints."""
