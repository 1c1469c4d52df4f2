"""A relay's metrics as dictionaries."""

from __future__ import annotations

from cbspec_simulator.observe.metrics import RelayMetrics

Samples = dict[tuple[str, tuple[str, ...]], float]


def read(metrics: RelayMetrics) -> Samples:
    """Return the samples by name and label values."""
    return {
        (sample.name.removeprefix("cloudbridge_"), tuple(sample.labels.values())): sample.value
        for family in metrics.collect()
        for sample in family.samples
    }


def counted(metrics: RelayMetrics, name: str) -> dict[str, float]:
    """Return the non-zero samples of a name by their only label."""
    return {labels[0]: value for (sample, labels), value in read(metrics).items() if sample == name and value}
