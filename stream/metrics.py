"""Every Prometheus name, once. Read at scrape time from what the sessions count themselves."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from runtime.sessions import Sessions
from stream.whep import Peers


class Metrics(Collector):
    """All metrics of one server. Counters of ended sessions stay counted."""

    def __init__(self, sessions: Sessions, peers: Peers) -> None:
        self._sessions = sessions
        self._peers = peers
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        living = [session.stats for session in self._sessions.list()]
        yield GaugeMetricFamily("saccade_sessions", "Living sessions", value=len(living))
        yield GaugeMetricFamily(
            "saccade_sessions_max", "Places", value=self._sessions.settings.max_sessions
        )
        yield GaugeMetricFamily("saccade_viewers", "WebRTC peers", value=len(self._peers))
        offers = CounterMetricFamily(
            "saccade_offers", "WHEP offers, by what became of them", labels=["result"]
        )
        for result, count in self._peers.offers.items():
            offers.add_metric([result], count)
        yield offers
        times = [median(s.render_ms) for s in living if s.render_ms]
        yield GaugeMetricFamily(
            "saccade_render_seconds",
            "Median time to render a frame, worst session",
            value=max(times, default=0.0) / 1000,
        )
        encoding = self._peers.broadcasts
        yield GaugeMetricFamily(
            "saccade_encode_seconds",
            "Median time to encode a picture for all its viewers",
            value=median(encoding.stats.ms or [0.0]) / 1000,
        )
        yield GaugeMetricFamily(
            "saccade_renditions", "Video encoders that run", value=encoding.renditions
        )
        yield CounterMetricFamily(
            "saccade_keyframes", "Key frames encoded", value=encoding.stats.keys
        )
        renderers = [session.renderer for session in self._sessions.list()]
        yield GaugeMetricFamily(
            "saccade_degraded",
            "Sessions whose pictures are made with less than was asked for",
            value=sum(renderer.degraded for renderer in renderers),
        )
        yield GaugeMetricFamily(
            "saccade_lead_seconds",
            "How long before its presentation a window is planned, worst session",
            value=max((s.lead for s in self._sessions.list()), default=0.0),
        )
        ended = self._sessions.ended
        for name, help in (
            ("frames", "Frames delivered with a new picture"),
            ("held", "Frames that kept the last picture because rendering was late"),
            ("stalls", "Times a session's clock had to move"),
            ("underruns", "Frames that waited in the middle of speech"),
            ("plans", "Chunks planned"),
            ("plans_written", "Chunks planned with a language model's score"),
            ("plans_mended", "Chunks with rows that the physiological critic mended"),
        ):
            total = sum(getattr(stats, name) for stats in [*living, ended])
            yield CounterMetricFamily(f"saccade_{name}", help, value=total)
