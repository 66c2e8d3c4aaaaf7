"""All parsers."""

from __future__ import annotations

from tests.property.parsers import edges, plans, values

PARSERS = {parser.name: parser for parser in (*values.PARSERS, *edges.PARSERS, *plans.PARSERS)}
