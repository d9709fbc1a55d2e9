"""Pages that a person reads: what ``test`` measured, and recipes side by side.

Read intervals.py and findings.py, then evaluation_page.py, which shows them; comparison_table.py and
comparison_page.py are for several recipes. page.py fills in templates/.
"""
