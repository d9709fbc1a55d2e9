"""Read files within bounds, write them durably, lock them; imports only ``errors`` from the package."""
