"""Files read within bounds, written durably and locked; imports nothing of the package but its errors."""
