"""What scripts and notebooks call; the package's top level offers all of it, loaded when it is first used."""
