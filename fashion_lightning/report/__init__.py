"""Pages that a person reads: what ``test`` measured, and recipes side by side.

Read accuracy.py, calibration.py, near_duplicates.py and doubted_labels.py, then evaluation_page.py, which puts them
together; comparison_page.py is the same for several recipes. page.py makes HTML of templates/.
"""
