"""A page and an endpoint that classify pictures: read app.py, intake.py, batches.py, server.py."""
