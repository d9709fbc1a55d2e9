"""Make the report of ``test`` and the comparison of recipes, as pages and as text.

Read intervals.py and findings.py, then evaluation_page.py, which shows them; comparison_table.py,
comparison_text.py and comparison_page.py compare recipes. page.py fills in templates/.
"""
