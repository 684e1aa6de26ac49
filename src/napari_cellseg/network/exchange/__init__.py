"""Models from and for elsewhere: bioimage.io packages and plain PyTorch weights."""
