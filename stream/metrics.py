"""Every Prometheus name, once. Read at scrape time from what the sessions count themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import median

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from runtime.latency import Histogram
from runtime.sessions import Sessions
from stream.publications import Publications
from stream.rates import Rates
from stream.recordings import Recordings
from stream.whep import Peers


class Metrics(Collector):
    """All metrics of one server. Counters of ended sessions stay counted."""

    def __init__(
        self,
        sessions: Sessions,
        peers: Peers,
        published: Publications,
        recorded: Recordings,
        rates: Rates,
    ) -> None:
        self._sessions = sessions
        self._peers = peers
        self._published = published
        self._recorded = recorded
        self._rates = rates
        self.registry = CollectorRegistry()
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        living = [session.stats for session in self._sessions.list()]
        yield from self._admission()
        yield GaugeMetricFamily("saccade_viewers", "WebRTC peers", value=len(self._peers))
        yield _by("saccade_offers", "WHEP offers, by what became of them", "result",
                  self._peers.offers)  # fmt: skip
        watched = [session.stats.fps for session in self._sessions.list() if session.viewers]
        if watched:
            yield GaugeMetricFamily(
                "saccade_fps",
                "Fresh pictures in the last second, worst session that is watched",
                value=min(watched),
            )
        yield GaugeMetricFamily(
            "saccade_queue_seconds",
            "Speech that waits, longest of all sessions",
            value=max((s.queue_ms for s in self._sessions.list()), default=0) / 1000,
        )
        gaps = self._peers.lip_gaps()
        if gaps:
            yield GaugeMetricFamily(
                "saccade_av_gap_seconds",
                "Sound leaves later than the picture of its moment by this, worst viewer;"
                " receivers take it out again",
                value=max(gaps, key=abs),
            )
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
            ("dropped", "Frames that came too late or whose viewer was too slow"),
            ("stalls", "Times a session's clock had to move"),
            ("underruns", "Frames that waited in the middle of speech"),
            ("plans", "Chunks planned"),
            ("plans_written", "Chunks planned with a language model's score"),
            ("plans_mended", "Chunks with rows that the physiological critic mended"),
        ):
            total = sum(getattr(stats, name) for stats in [*living, ended])
            if name == "dropped":
                total += encoding.dropped["video"]
            yield CounterMetricFamily(f"saccade_{name}", help, value=total)
        yield CounterMetricFamily(
            "saccade_dropped_sound",
            "Packets of sound (20 ms) that were too late or whose viewer was too slow",
            value=encoding.dropped["audio"],
        )
        yield GaugeMetricFamily(
            "saccade_repeating",
            "Viewers whose pictures are sent twice, as they lose packets a long way off",
            value=encoding.repeating,
        )
        yield CounterMetricFamily(
            "saccade_repeated", "Packets of pictures sent again unasked", value=encoding.repeated
        )
        yield from self._elsewhere()
        for name, help in (
            ("first_picture", "From a viewer's offer to the first picture sent"),
            ("reaction", "From an accepted `behave` to the first picture planned after it"),
            ("hush", "From `interrupt` to the end of the fade"),
        ):
            whole = Histogram()
            for stats in [*living, ended]:
                whole.absorb(getattr(stats, name))
            yield _histogram(f"saccade_{name}_seconds", help, whole)

    def _elsewhere(self) -> Iterator[Metric]:
        """Publications and recordings."""
        published, recorded = self._published, self._recorded.totals
        states = GaugeMetricFamily(
            "saccade_publications", "Publications, by state", labels=["state"]
        )
        for state, count in published.counts().items():
            states.add_metric([state], count)
        yield states
        yield GaugeMetricFamily("saccade_recordings", "Recordings that run", value=recorded.running)
        for name, help, value in (
            ("publication_reconnects", "Times a publication went live again", published.reconnects),
            ("publication_failures", "Publications that were given up", published.failures),
            ("recorded_seconds", "Media written to files, seconds", recorded.seconds),
            ("recorded_bytes", "Bytes written to files of recordings", recorded.bytes),
            ("recording_failures", "Recordings that left no whole file", recorded.failures),
        ):
            yield CounterMetricFamily(f"saccade_{name}", help, value=value)

    def _admission(self) -> Iterator[Metric]:
        sessions = self._sessions
        found = sessions.capacity
        yield GaugeMetricFamily("saccade_sessions", "Living sessions", value=len(sessions.list()))
        yield GaugeMetricFamily("saccade_sessions_max", "Places", value=found.places)
        for name, help, value in (
            ("measured", "Sessions that this machine carries with the puppet", found.measured),
            ("full_quality", "Sessions that it carries with the generator", found.full_quality),
        ):
            if value is not None:
                yield GaugeMetricFamily(f"saccade_sessions_{name}", help, value=value)
        yield GaugeMetricFamily(
            "saccade_waiting", "Tickets of those who wait for a place", value=sessions.waiting
        )
        yield GaugeMetricFamily(
            "saccade_draining", "1 while nobody is admitted any more", value=sessions.draining
        )
        yield _by("saccade_rejections", "Sessions not created, by reason", "reason",
                  sessions.refused)  # fmt: skip
        yield _by("saccade_sessions_ended", "Sessions that ended, by reason", "reason",
                  sessions.ends)  # fmt: skip
        yield CounterMetricFamily(
            "saccade_requests_refused",
            "Requests answered 429, as their address asks too often",
            value=self._rates.refused,
        )
        yield _histogram(
            "saccade_create_seconds", "Time that creating a session took", sessions.created_in
        )


def _by(name: str, help: str, label: str, counts: Mapping[str, int]) -> Metric:
    found = CounterMetricFamily(name, help, labels=[label])
    for value, count in counts.items():
        found.add_metric([value], count)
    return found


def _histogram(name: str, help: str, found: Histogram) -> Metric:
    return HistogramMetricFamily(name, help, buckets=found.buckets(), sum_value=found.total)
