"""All planes of a stack, and planes linked to 3D cells or tracks."""
