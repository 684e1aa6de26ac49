"""Counts of the software against counts by people."""
