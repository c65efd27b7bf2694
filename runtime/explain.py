"""Plans in the words of the wire: times in pts, everything JSON-ready."""

from __future__ import annotations

from typing import Any

from core import SAMPLES_PER_FRAME
from planner.action import Action
from planner.behaviour import Piece
from planner.plan import Event, Exchange, Plan
from planner.rules import Violation
from runtime.lookahead import Chunk


def action(what: Action) -> dict[str, Any]:
    """An announced movement."""
    return {
        "kind": what.kind,
        "start": what.start * SAMPLES_PER_FRAME,
        "peak": what.peak * SAMPLES_PER_FRAME,
        "end": what.end * SAMPLES_PER_FRAME,
        "amount": round(float(what.amount), 3),
        "why": what.why,
    }


def outline(chunk: Chunk) -> dict[str, Any]:
    """What a chunk will show, in short."""
    plan = chunk.plan
    return {
        "index": chunk.index,
        "start": plan.start * SAMPLES_PER_FRAME,
        "end": plan.end * SAMPLES_PER_FRAME,
        "label": plan.label,
        "state": plan.state,
        "source": plan.score.source,
        "events": [_span(plan, event) for event in plan.score.events],
    }


def chunk(chunk: Chunk) -> dict[str, Any]:
    """All that is known about a chunk and how it came about."""
    plan = chunk.plan
    return {
        **outline(chunk),
        "instruction": plan.instruction,
        "status": chunk.status,
        "events": [
            {
                **_span(plan, event),
                "controls": {name: list(span) for name, span in event.stage.controls.items()},
                "look": _look(event),
                "prototype": _prototype(plan, event, chunk.pieces),
            }
            for event in plan.score.events
        ],
        "repaired": [_violation(plan, found) for found in plan.repaired],
        "exchanges": [_exchange(each) for each in plan.exchanges],
    }


def _span(plan: Plan, event: Event) -> dict[str, Any]:
    return {
        "start": (plan.start + event.start) * SAMPLES_PER_FRAME,
        "end": (plan.start + event.end) * SAMPLES_PER_FRAME,
        "semantics": event.semantics,
    }


def _look(event: Event) -> dict[str, Any] | None:
    """Where the eyes are kept, if they are."""
    look = event.stage.look
    return None if look is None else {"where": look.where, "degrees": list(look.degrees)}


def _prototype(plan: Plan, event: Event, pieces: tuple[Piece, ...]) -> dict[str, Any] | None:
    """The recording whose motion the event wears: the last one taken before it ends."""
    taken = [piece for piece in pieces if piece.start < plan.start + event.end]
    if not taken:
        return None
    piece = taken[-1]
    return {
        "name": piece.prototype,
        "source": piece.source,
        "kind": piece.kind,
        "distance": piece.distance,
    }


def _violation(plan: Plan, found: Violation) -> dict[str, Any]:
    return {
        "rule": found.rule,
        "channels": list(found.channels),
        "start": (plan.start + found.start) * SAMPLES_PER_FRAME,
        "end": (plan.start + found.end) * SAMPLES_PER_FRAME,
        "value": round(float(found.value), 3),
        "limit": round(float(found.limit), 3),
    }


def _exchange(each: Exchange) -> dict[str, Any]:
    return {
        "role": each.role,
        "source": each.source,
        "seconds": round(each.seconds, 3),
        "reasoning": each.reasoning,
        "request": each.request,
        "answer": each.answer,
        "error": each.error,
    }
