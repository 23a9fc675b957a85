"""Data sets, recipes, trained networks, preprocessing of pictures."""
