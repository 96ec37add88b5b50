"""What a page holds."""

import re
from html.parser import HTMLParser
from typing import List, Set


class Page(HTMLParser):
    """A parsed page: its text, its tags and where it points to. Asserts that every element is closed."""

    VOID = ("meta", "img", "br", "link", "input", "hr")

    def __init__(self, text: str):
        super().__init__()
        self.text = ""
        self.points_to: List[str] = []
        self.tags: Set[str] = set()
        self._open: List[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.points_to += [
            value or "" for name, value in attributes if re.fullmatch("(.*:)?(src|href|srcset|data)", name)
        ]
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag, tag

    def handle_data(self, data):
        self.text += f" {data}" if self._open[-1:] != ["style"] else ""
