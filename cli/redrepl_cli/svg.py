"""Pictures as SVG: one file that needs nothing else, readable on light and dark."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

MARGIN = 24

STYLE = """
  svg { color-scheme: light dark; }
  .ground { fill: #ffffff; }
  text { font-family: system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif;
         font-size: 12px; fill: #1f2328; }
  .title { font-size: 16px; font-weight: 600; }
  .group { font-size: 13px; font-weight: 600; }
  .soft { fill: #59636e; }
"""
DARK_STYLE = """
    .ground { fill: #0d1117; }
    text { fill: #e6edf3; }
    .soft { fill: #9198a1; }
"""


@dataclass(slots=True)
class Page:
    """Elements so far, and where the next line goes.

    ``columns``: characters of the small text in a line.
    """

    width: float
    columns: int
    elements: list[str] = field(default_factory=list)
    y: float = MARGIN

    def text(
        self, x: float, content: str, style: str = "", anchor: str = "start", dy: float = 0
    ) -> None:
        """A line of text; it does not move on."""
        kind = f' class="{style}"' if style else ""
        self.elements.append(
            f'<text x="{x:g}" y="{self.y + dy:g}" '
            f'text-anchor="{anchor}"{kind}>{safe(content)}</text>'
        )

    def paragraph(self, content: str) -> None:
        """Small text over as many lines as it takes."""
        for line in textwrap.wrap(content, self.columns):
            self.text(MARGIN, line, "soft")
            self.y += 16

    def document(self, title: str, style: str, dark_style: str) -> str:
        """The SVG document; ``style`` and ``dark_style`` are added to what all pictures have."""
        height = self.y + MARGIN / 2
        size = f'width="{self.width:g}" height="{height:g}" viewBox="0 0 {self.width:g} {height:g}"'
        dark = f"  @media (prefers-color-scheme: dark) {{{DARK_STYLE}{dark_style}  }}\n"
        parts: Sequence[str] = [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-labelledby="title">',
            f'<title id="title">{safe(title)}</title>',
            f"<style>{STYLE}{style}{dark}</style>",
            f'<rect class="ground" width="{self.width:g}" height="{height:g}"/>',
            *self.elements,
            "</svg>",
            "",
        ]
        return "\n".join(parts)


def safe(content: str) -> str:
    """Text for XML, which has no control characters."""
    return escape("".join(character if character.isprintable() else " " for character in content))
