"""A file uploader's own words in the reader's language; streamlit has them in English only, and no option for them."""

from __future__ import annotations

import json

from .language import say

_WHERE = "[class*=st-key-{key}]"  # the beginning of the key, where its end changes from one upload to the next


def style(key: str, kinds: str, refused: str) -> str:
    """CSS for the uploader whose key begins with `key`: its button, `kinds` as its hint, `refused` below a bad file.

    All three are the app's own words, never a person's.
    """
    where = _WHERE.format(key=key)
    box = f"{where} [data-testid=stFileUploaderDropzone"
    button, hint = f"{box}] [data-testid=stMarkdownContainer] p", f"{box}Instructions] span"
    return f"""<style>
{button}, {hint} {{ font-size: 0; }}
{button}::after {{ content: {_quoted(say("table.browse"))}; font-size: 0.875rem; }}
{hint}::after {{ content: {_quoted(kinds)}; font-size: 0.875rem; }}
{where}:has([aria-invalid=true])::after {{
    content: {_quoted(refused)}; color: #d9344a; font-size: 0.875rem; word-break: keep-all;
}}
</style>"""


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
