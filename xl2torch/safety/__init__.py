"""What an untrusted workbook may ask for, and what of its text is shown.

In: sizes, text and a target path. Out: an error of ours where a limit is passed (``limits``), text
that no terminal, spreadsheet or interpreter obeys (``plain_text``), and files that are either the
old or the new one (``output_file``).
"""
