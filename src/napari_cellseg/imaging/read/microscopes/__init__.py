"""Files of microscopes that a package of their own reads, plane by plane."""
