"""The report as one HTML file: the picture, the figures and what was found.

It needs nothing else.
"""

from __future__ import annotations

from html import escape

from redrepl_cli.chaos.picture import picture
from redrepl_cli.chaos.report import FAULT_COLUMNS, LEGEND, Report, fault_rows

_STYLE = """
  :root { color-scheme: light dark; }
  body { font: 14px/1.5 system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif;
         margin: 24px auto; max-width: 1180px; padding: 0 16px; }
  svg { max-width: 100%; height: auto; }
  .wide { overflow-x: auto; }
  table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
  th, td { text-align: right; padding: 3px 12px; border-bottom: 1px solid #8c959f55;
           white-space: nowrap; }
  th:first-child, td:first-child, .faults th:last-child, .faults td:last-child { text-align: left; }
  .faults td:last-child { white-space: normal; }
  pre { white-space: pre-wrap; }
"""


def html(report: Report) -> str:
    """The HTML document."""
    kinds = [(kind, *by.values()) for kind, by in report.counts.items()]
    found = list(report.complaints())
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(report.headline)}</title><style>{_STYLE}</style></head><body>",
        picture(report),
        *(["<h2>Found</h2>", *(f"<pre>{escape(text)}</pre>" for text in found)] if found else []),
        "<h2>Each fault</h2>",
        _table("faults", FAULT_COLUMNS, fault_rows(report)),
        f"<p>{escape(LEGEND)}</p>",
        "<h2>Operations</h2>",
        _table("operations", ("kind", "ok", "unknown", "rejected"), kinds),
        "</body></html>",
        "",
    ]
    return "\n".join(parts)


def _table(name: str, columns: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        '<div class="wide '
        f'{name}"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )
