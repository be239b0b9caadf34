"""Text in CSV files that spreadsheets open."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def guard_text(text: str) -> str:
    """Return ``text`` with an apostrophe before it if a spreadsheet would run it as a formula.

    Ids come from uploads; a spreadsheet runs any cell that begins with one of ``FORMULA_STARTS``. Numbers are no text.
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
