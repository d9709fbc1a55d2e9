"""Recipes side by side: read table.py, then curves.py."""
