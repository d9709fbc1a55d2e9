"""Callbacks for the Trainer; each does one thing."""
