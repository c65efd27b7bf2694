"""Distillation: one pass for two, one step for many, from the teacher's own numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from engines.video.distil import (
    STRONGEST,
    DistilConfig,
    Lesson,
    Pass,
    between,
    draw_guidance,
    guided_loss,
    lesson,
    phased_loss,
    step_loss,
)
from engines.video.dit import DiT
from engines.video.guidance import EYE_AWARE, UNGUIDED, Guidance, eye_map, omega, pull_of
from engines.video.latents import LatentBatch
from engines.video.sampler import sample_window
from engines.video.schedule import WINDOW, flow_times, progress
from engines.video.train_student import student_of
from engines.video.windows import Stream
from tests.engines.video.faces_in_regions import conditions, random_latents, stirred

WINDOWS = 2


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def teacher() -> DiT:
    return stirred(context=2)


def told(*guidance: Guidance) -> Lesson:
    count = len(guidance)
    latents = random_latents(count, WINDOWS * WINDOW, seed=1)
    reference = random_latents(count, seed=2)
    batch = LatentBatch(latents, reference, conditions(count, WINDOWS * WINDOW, 3))
    return lesson(batch, guidance)


def test_progress_is_where_the_sampler_is() -> None:
    for steps, shift in ((1, 1.0), (4, 2.5), (40, 3.0)):
        for i, sigma in enumerate(flow_times(steps, shift)):
            assert progress(sigma, shift) == pytest.approx(i / steps, abs=1e-9)
    times = flow_times(2)
    inside = between(times[0], times[1], 4, 2.5) + between(times[1], times[2], 4, 2.5)[1:]
    assert inside == pytest.approx(flow_times(8))


def test_drawn_knobs_are_usable_and_differ() -> None:
    drawn = draw_guidance(np.random.default_rng(0), 200)
    assert 30 < sum(g == EYE_AWARE for g in drawn) < 90
    assert 5 < sum(g == UNGUIDED for g in drawn) < 45
    others = [g for g in drawn if g not in (EYE_AWARE, UNGUIDED)]
    assert len(set(others)) == len(others)
    assert all(1 <= g.low <= g.high <= STRONGEST for g in others)


def test_maps_are_omega_at_both_ends() -> None:
    points = conditions(1, 2).points[0].numpy()
    guidance = Guidance(high=6, low=2, background=1.2)
    gauss = eye_map(points, guidance.kappa)
    maps = pull_of(guidance, gauss)
    assert np.array_equal(maps[..., 0], omega(guidance, gauss, 0.0))
    assert np.array_equal(maps[..., 1], omega(guidance, gauss, 1.0))
    assert maps[..., 0].max() > 3 > maps[..., 1].max()
    assert np.allclose(pull_of(UNGUIDED, gauss), 1)


def test_a_student_begins_as_its_teacher_told_nothing_of_guidance(teacher: DiT) -> None:
    student = student_of(teacher)
    assert student_of(student) is student
    one = told(Guidance(), UNGUIDED)
    sigma = torch.full((2, WINDOWS), 0.7)
    x = torch.randn_like(one.batch.latents)
    over = Pass(one, one.batch.latents)
    with torch.no_grad():
        plain = over._run(teacher, x, sigma, one.batch.conditions)
        assert torch.equal(over.student(student, x, sigma), plain)
        torch.nn.init.normal_(student.pull.weight)
        pulled = over.student(student, x, sigma)
    assert not torch.allclose(pulled[0], plain[0])
    torch.testing.assert_close(pulled[1], plain[1])  # Ω is 1 everywhere


def test_the_teacher_gives_what_the_sampler_uses(teacher: DiT) -> None:
    """One step of the reference sampler is one pass of the lesson's teacher."""
    guidance = Guidance(high=5, low=3)
    one = told(guidance)
    batch = one.batch
    noise = torch.randn(1, WINDOW, 3, 8, 6, 6)
    stream = Stream(teacher, batch.reference, batch.conditions.reference_points)
    part = batch.conditions.stretch(0, WINDOW)
    stepped = sample_window(stream, part, noise, guidance, 1)
    x = torch.cat((noise, noise), 1)
    sigma = torch.ones(1, WINDOWS)
    velocity = Pass(one, batch.latents).teacher(teacher, x, sigma, 2.5)
    torch.testing.assert_close(noise - velocity[:, :WINDOW], stepped, atol=1e-4, rtol=1e-4)


def test_a_step_that_is_the_teachers_own_leaves_nothing_to_learn(teacher: DiT) -> None:
    student = student_of(teacher)
    one = told(UNGUIDED, UNGUIDED)
    for own in (0.0, 1.0):
        config = DistilConfig(nodes=3, solve=1, own=own, rolled=1.0)
        assert float(step_loss(student, teacher, one, config).detach()) < 1e-9
    far = step_loss(student, teacher, one, DistilConfig(nodes=1, solve=4, own=0.0))
    assert float(far.detach()) > 1e-4
    with pytest.raises(ValueError, match="out of range"):
        DistilConfig(solve=0)


def test_a_student_of_guidance_teaches_in_one_pass(teacher: DiT) -> None:
    guided = student_of(teacher)
    with torch.no_grad():
        guided.pull.weight.normal_(std=0.1)
    one = told(Guidance(high=3, low=1), UNGUIDED)
    x, sigma = torch.randn_like(one.batch.latents), torch.full((2, WINDOWS), 0.5)
    over = Pass(one, one.batch.latents)
    torch.testing.assert_close(
        over.teacher(guided, x, sigma, 2.5), over.student(guided, x, sigma).detach()
    )


def test_the_last_small_step_of_a_stretch_is_the_teacher_s_own(teacher: DiT) -> None:
    one = told(UNGUIDED, UNGUIDED)
    config = DistilConfig(nodes=2, solve=1, own=0.0, phased=True)
    assert float(phased_loss(student_of(teacher), teacher, one, config).detach()) < 1e-9


@pytest.mark.parametrize("teach", [guided_loss, step_loss, phased_loss])
def test_students_learn(teacher: DiT, teach: Callable[..., Tensor]) -> None:
    """In a few steps on one lesson the student comes nearer to its teacher."""
    torch.manual_seed(0)
    student = student_of(teacher).train()
    optimiser = torch.optim.AdamW(student.parameters(), lr=3e-3)
    one = told(Guidance(), Guidance(high=3, low=1), UNGUIDED)
    config = DistilConfig(nodes=0 if teach is guided_loss else 2, solve=2)
    losses = []
    for step in range(14):
        torch.manual_seed(step % 2)
        loss = teach(student, teacher, one, config)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-2:]) < 0.7 * np.mean(losses[:2])
