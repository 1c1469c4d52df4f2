"""The generated documents: templates (`tests/repo/templates/`) filled with tables of the packages' data.

`python -m tests.repo.documents`, or `make docs`, writes them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path
from typing import Final

from prometheus_client.core import Metric

from cbspec.catalogue.requirements import CHAPTERS, CLIENT_REQUIREMENTS, REQUIREMENTS, Level
from cbspec.documents import describe, keys, meta, plain_type
from cbspec.profile.identity import DEVELOPMENT_SECRET, DEVELOPMENT_TENANTS
from cbspec.profile.profile import Tenant, template
from cbspec.profile.target import Rate
from cbspec_conformance.client.client_profile import ClientProfile
from cbspec_conformance.client.situations import SITUATIONS
from cbspec_conformance.reporting.events import schema as results_schema
from cbspec_simulator import DEVIATIONS, VARIANTS, Config
from cbspec_simulator.faults.catalogue import KINDS
from cbspec_simulator.faults.kind import FaultKind, FaultLayer
from cbspec_simulator.faults.when import CONDITIONS, MessageDirection
from cbspec_simulator.observe.metrics import BUCKETS, RelayMetrics
from cbspec_simulator.relay.relay import Relay
from cbspec_simulator.settings.config import RelaySettings, timeline_actions
from cbspec_simulator.settings.reading import ConfigDocument
from cbspec_simulator.settings.scenarios import scenarios
from cbspec_simulator.settings.schema import scenario_schema
from tests.repo.asyncapi import asyncapi
from tests.repo.markdown import table
from tests.repo.protocol import protocol
from tests.repo.tree import ROOT

_PLACEHOLDER: Final = re.compile(r"\{\{(\w+)\}\}")
_TEMPLATES: Final = Path(__file__).parent / "templates"
_WIDTH: Final = 118  # characters of a line of JSON
_SCENARIOS: Final = "../../simulator/cbspec_simulator/settings/scenarios"

Parts = Mapping[str, str]


def fill(file: str, parts: Callable[[], Parts]) -> str:
    """Return a template with its placeholders replaced."""
    text, values = (_TEMPLATES / f"{file}.in").read_text(encoding="utf-8"), parts()
    if {*_PLACEHOLDER.findall(text)} != {*values}:
        raise ValueError(f"{file}.in has other placeholders than {', '.join(values)}")
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def _client_requirements() -> Parts:
    levels = Counter(row.level for row in CLIENT_REQUIREMENTS.values())
    chapters = (
        f"## {title}\n\n"
        + table(
            ("id", "level", "demand", "condition"),
            ((row.id, row.level, f"{row.demand} {row.deployed}".rstrip(), row.when) for row in rows),
        )
        for chapter, title in CHAPTERS.items()
        if (rows := [row for row in CLIENT_REQUIREMENTS.values() if row.chapter == chapter])
    )
    listed = (
        (f"`{row.name}`", "q" if row.quick else "", row.requirement, row.about, row.transport)
        for row in SITUATIONS.values()
    )
    profile = (
        (
            f"`{item.name}`",
            describe(hint),
            meta(hint, "description"),
            "" if item.default in (None, ()) else item.default,
        )
        for item, hint in keys(ClientProfile)
        if item.name not in ("environment", "files")
    )
    tables = (
        (f"`{item.name}`", "a table", meta(hint, "description"), "")
        for item, hint in keys(ClientProfile)
        if item.name in ("environment", "files")
    )
    counts = f"{len(CLIENT_REQUIREMENTS)} requirements: {', '.join(f'{levels[level]} {level}' for level in Level)}"
    return {
        "counts": counts,
        "chapters": "\n\n".join(chapters),
        "situation_count": str(len(SITUATIONS)),
        "situations": table(("situation", "quick", "requirement", "the relay", "only over"), listed),
        "keys": table(("key", "type", "meaning", "default"), [*profile, *tables]),
    }


def _deviations() -> Parts:
    order = list(REQUIREMENTS)
    found = sorted(DEVIATIONS.values(), key=lambda each: order.index(each.requirement))
    levels = {each.requirement: f"{each.requirement} ({REQUIREMENTS[each.requirement].level})" for each in found}
    rows = ((f"`{each.id}`", levels[each.requirement], each.sentence) for each in found)
    broken = {deviation.requirement for deviation in DEVIATIONS.values()}
    variants = table(("variant", "behaviour"), ((f"`{each.id}`", each.sentence) for each in VARIANTS.values()))
    return {
        "counts": f"{len(DEVIATIONS)} deviations break {len(broken)} requirements",
        "variant_count": str(len(VARIANTS)),
        "variants": variants,
        "deviations": table(("deviation", "requirement", "behaviour"), rows),
    }


def _development_identity() -> Parts:
    rows = ((f"`{tenant.id}`", "yes" if tenant.active else "no", _limits(tenant)) for tenant in DEVELOPMENT_TENANTS)
    return {"secret": DEVELOPMENT_SECRET, "tenants": table(("tenant", "active", "limits"), rows)}


def _limits(tenant: Tenant) -> str:
    rate = tenant.rate
    parts = (
        f"{tenant.tunnel_limit} tunnels" if tenant.tunnel_limit is not None else "",
        f"{tenant.connection_limit} connections" if tenant.connection_limit is not None else "",
        f"{rate.per_second:g} requests a second, burst {rate.burst}, per {rate.scope}" if rate is not None else "",
        f"from {', '.join(tenant.allowed_addresses)}" if tenant.allowed_addresses else "",
    )
    return "; ".join(filter(None, parts)) or "none"


def _configuration() -> Parts:
    tables = [(item.name, plain_type(hint)) for item, hint in keys(ConfigDocument) if is_dataclass(plain_type(hint))]
    rows = (
        (f"`{name}.{item.name}`", describe(hint), _default(item.default), meta(hint, "description"))
        for name, type_ in tables
        for item, hint in keys(type_)
    )
    return {"keys": table(("key", "type", "default", "meaning"), rows)}


def _default(value: object) -> str:
    if value in (None, ()):
        return ""
    return f"`{', '.join(value)}`" if isinstance(value, tuple) else f"`{str(value).lower()}`"


def _metrics() -> Parts:
    tenant = Tenant("tenant-001", tunnel_limit=1, connection_limit=1, rate=Rate(1, 1, "tenant"))
    relay = Relay(Config(tenants=(tenant,), relay=RelaySettings(connection_limit=1, buffer_pool=1)))
    rows = (
        (
            f"`{family.name}{'_total' if family.type == 'counter' else ''}`",
            family.type,
            _labels(family),
            family.documentation,
        )
        for family in RelayMetrics(relay, lambda: 0.0).collect()
    )
    buckets = ", ".join(f"{bound:g}" for bound in BUCKETS)
    return {"metrics": table(("metric", "type", "labels", "meaning"), rows), "buckets": buckets}


def _labels(family: Metric) -> str:
    values: dict[str, dict[str, None]] = {}
    for sample in family.samples:
        for name, value in sample.labels.items():
            values.setdefault(name, {})[value] = None
    open_ended = {"tenant_id": "each tenant", "kind": "each kind of fault"}
    return "; ".join(
        f"`{name}`: {open_ended.get(name) or ', '.join(all_)}" for name, all_ in values.items() if name != "le"
    )


def _faults() -> Parts:
    head = ("kind", "effect", "parameters", "stands for", "transports", "strikes at")
    layers = (
        f"## {layer[0].upper()}{layer[1:]}\n\n" + table(head, rows)
        for layer in FaultLayer
        if (rows := [_kind(kind) for kind in KINDS.values() if kind.layer is layer])
    )
    conditions = ((f"`{name}`", describe(hint), meta(hint, "description")) for name, hint in CONDITIONS.items())
    return {"kinds": "\n\n".join(layers), "conditions": table(("key", "type", "meaning"), conditions)}


def _kind(kind: FaultKind) -> Iterator[str]:
    points = dict(zip(MessageDirection, ("connections", "requests", "answers"), strict=True))
    parameters = []
    for name, param in kind.params.items():
        default = "" if param.default is None else f", default `{json.dumps(param.default)}`"
        parameters.append(
            f"`{name}`: {param.meaning}; {describe(param.hint)}{', needed' if param.required else default}"
        )
    yield f"`{kind.name}`"
    yield kind.sentence
    yield "<br>".join(parameters)
    yield kind.stands_for
    yield ", ".join(kind.transports)
    yield "all the time" if kind.standing else ", ".join(points[direction] for direction in kind.directions)


def _scenarios() -> Parts:
    rows = ((f"[`{name}`]({_SCENARIOS}/{name}.toml)", sentence) for name, sentence in scenarios())
    entries = timeline_actions().items()
    actions = ((f"`{name}`", describe(hint), meta(hint, "description")) for name, hint in entries)
    return {"scenarios": table(("scenario", "content"), rows), "actions": table(("key", "type", "meaning"), actions)}


def _file(value: object) -> str:
    return _json(value) + "\n"


def _json(value: object, margin: str = "", indent: int = 0) -> str:
    """Return a value as JSON in lines of at most 120 characters, if possible; it begins in column `indent`."""
    line = json.dumps(value, ensure_ascii=False)
    if indent + len(line) <= _WIDTH or not isinstance(value, dict | list):
        return line
    inner = f"{margin} "
    heads = [f"{json.dumps(key)}: " for key in value] if isinstance(value, dict) else [""] * len(value)
    lines: list[str] = []
    for head, item in zip(heads, value.values() if isinstance(value, dict) else value, strict=True):
        part = head + _json(item, inner, len(inner + head))
        if lines and "\n" not in lines[-1] + part and len(lines[-1]) + len(part) <= _WIDTH - 2:
            lines[-1] += f", {part}"
        else:
            lines.append(inner + part)
    opening, closing = line[0], line[-1]
    return "\n".join([opening, ",\n".join(lines), margin + closing])


_PARTS: Final[Mapping[str, Callable[[], Parts]]] = {
    "client-requirements.md": _client_requirements,
    "protocol.md": protocol,
    "deviations.md": _deviations,
    "profile.md": lambda: {"template": template().strip()},
    "development-identity.md": _development_identity,
    "configuration.md": _configuration,
    "metrics.md": _metrics,
    "faults.md": _faults,
    "scenarios.md": _scenarios,
}
DOCUMENTS: Final[Mapping[str, Callable[[], str]]] = {
    **{f"docs/reference/{file}": partial(fill, file, parts) for file, parts in _PARTS.items()},
    "docs/reference/scenario.schema.json": lambda: _file(scenario_schema()),
    "schemas/cbspec_schemas/asyncapi.json": lambda: _file(asyncapi()),
    "schemas/cbspec_schemas/results.schema.json": lambda: _file(results_schema()),
}
"""Each generated file and the function that returns its text."""


def main() -> None:
    """Write the documents that changed."""
    for file, write in DOCUMENTS.items():
        path, text = ROOT / file, write()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"{file}: written")


if __name__ == "__main__":
    main()
