"""The pictures of a search, one file each, and the only door to matplotlib.

Matplotlib is imported when something is drawn, and without pyplot: a search has no use for its state.
"""
