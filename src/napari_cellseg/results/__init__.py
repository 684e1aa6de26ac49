"""Files that are written for an image, and the ledger of a folder of results."""
