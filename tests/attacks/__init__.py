"""Hostile and broken inputs, the same ones for the same seed, tried through the real command line.

``python -m tests.attacks`` tries them in child processes with limits of memory and time, and prints counts per kind.
"""
