"""Figures for Prometheus."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from realnet.serving.models import ServedModel


class Metrics:
    """The server's counters, in a registry of its own.

    ``realnet_requests_total{status}``, ``realnet_images_total{model,verdict}``, ``realnet_request_seconds``,
    ``realnet_batch_images``, ``realnet_requests_in_progress``, ``realnet_image_score{model}``, and, where a model has a
    calibration, ``realnet_drift_distance{model}`` and ``realnet_drift_warning{model}``; with receivers of signals
    ``realnet_signals_waiting{sink}``.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("realnet_requests", "Requests to inspect.", ["status"], registry=self.registry)
        self.images = Counter("realnet_images", "Images judged.", ["model", "verdict"], registry=self.registry)
        self.seconds = Histogram(
            "realnet_request_seconds",
            "Time from the last byte of a request to its answer.",
            registry=self.registry,
            buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
        )
        self.batches = Histogram(
            "realnet_batch_images", "Images judged together.", registry=self.registry, buckets=(1, 2, 4, 8, 16, 32, 64)
        )
        self.in_progress = Gauge("realnet_requests_in_progress", "Waiting or worked on.", registry=self.registry)
        self.scores = Histogram(
            "realnet_image_score",
            "Image scores.",
            ["model"],
            registry=self.registry,
            buckets=tuple(i / 20 for i in range(1, 21)),
        )
        self.drift = Gauge(
            "realnet_drift_distance",
            "Kolmogorov-Smirnov distance of the latest scores from the calibrated ones.",
            ["model"],
            registry=self.registry,
        )
        self.warning = Gauge(
            "realnet_drift_warning", "1 where that is more than chance.", ["model"], registry=self.registry
        )
        self.waiting = Gauge(
            "realnet_signals_waiting", "Signals that a receiver has not taken yet.", ["sink"], registry=self.registry
        )

    def text(self, models: Mapping[str, ServedModel], waiting: Mapping[str, int]) -> bytes:
        """Everything in Prometheus' text format; ``waiting`` are the signals that wait, by receiver."""
        for sink, count in waiting.items():
            self.waiting.labels(sink).set(count)
        for name, model in models.items():
            found = model.drift()
            if found is not None:
                self.drift.labels(name).set(found.distance)
                self.warning.labels(name).set(float(found.warns))
        return generate_latest(self.registry)
