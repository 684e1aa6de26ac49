"""Images with known cells: layouts of datasets, training sets, splits."""
