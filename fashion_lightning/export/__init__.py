"""A trained classifier as one file that runs elsewhere: read graph.py, onnx_file.py, pt2_file.py, check.py; of a page
that runs in a browser, operations.py, html_file.py and templates/."""
