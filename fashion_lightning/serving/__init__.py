"""Serve a page and an endpoint that classify pictures: read app.py, intake.py, decoding.py, server.py."""
