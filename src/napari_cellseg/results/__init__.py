"""What is written for an image, and what a folder of results knows about itself."""
