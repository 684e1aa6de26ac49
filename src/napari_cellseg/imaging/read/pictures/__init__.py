"""Pictures, arrays and other files of one image."""
