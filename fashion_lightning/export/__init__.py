"""Export a trained classifier as one file that runs elsewhere: read graph.py and formats.py; for the page that runs in
a browser, also operations.py and templates/."""
