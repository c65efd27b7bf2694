"""Arrays on a device are joined and cut as numpy joins and cuts them."""

from __future__ import annotations

import gc
import inspect
import re
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import Unavailable
from engines.backends import cuda_memory, tensorrt_gpu
from engines.backends.cuda_memory import CudaMemory, gpu_there
from engines.backends.memory import OnDevice, concatenate, on_device, part_of
from tests.engines.backends.host_memory import HostMemory

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=5)


@given(shape=SHAPES, data=st.data())
def test_joined_and_cut_like_arrays(shape: list[int], data: st.DataObject) -> None:
    memory, rng = HostMemory(), np.random.default_rng(0)
    axis = data.draw(st.integers(0, len(shape) - 1))
    lengths = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    parts = [
        rng.standard_normal((*shape[:axis], n, *shape[axis + 1 :])).astype(np.float32)
        for n in lengths
    ]
    there = [on_device(memory, part) for part in parts]
    joined = concatenate(there, axis)
    assert isinstance(joined, OnDevice)
    true = np.concatenate(parts, axis)
    np.testing.assert_array_equal(memory.fetch(joined), true)
    index = data.draw(st.integers(0, sum(lengths) - 1))
    cut = part_of(joined, axis, index)
    assert isinstance(cut, OnDevice)
    np.testing.assert_array_equal(memory.fetch(cut), np.take(true, [index], axis))
    view = part_of(true, axis, index)
    assert isinstance(view, np.ndarray) and np.array_equal(view, np.take(true, [index], axis))


def test_what_is_not_there_yet_is_brought() -> None:
    memory = HostMemory()
    here, there = np.ones((2, 3), np.float32), on_device(memory, np.zeros((2, 1), np.float32))
    joined = concatenate([here, there], 1)
    assert isinstance(joined, OnDevice)
    np.testing.assert_array_equal(memory.fetch(joined), [[1, 1, 1, 0]] * 2)
    turned = np.arange(6, dtype=np.float32).reshape(2, 3).T  # lies otherwise than it reads
    np.testing.assert_array_equal(memory.fetch(on_device(memory, turned)), turned)


def test_one_part_is_not_copied_and_arrays_stay_arrays() -> None:
    memory = HostMemory()
    one = on_device(memory, np.zeros((2, 1), np.float32))
    assert concatenate([one], 0) is one and part_of(one, 1, 0) is one
    joined = concatenate([np.zeros(2), np.ones(1)], 0)
    assert isinstance(joined, np.ndarray) and joined.tolist() == [0, 0, 1]


def test_another_shape_has_as_many_numbers() -> None:
    value = HostMemory().empty((2, 3), np.float32)
    assert value.reshape((3, 2)).shape == (3, 2) and value.nbytes == 24
    with pytest.raises(ValueError, match="not as many"):
        value.reshape((7,))


def test_memory_goes_with_the_last_that_refers_to_it() -> None:
    value = HostMemory().empty((4,), np.float32)
    owner = weakref.ref(value.owner)
    other = value.reshape((2, 2))
    del value
    gc.collect()
    assert owner() is not None
    del other
    gc.collect()
    assert owner() is None


def test_what_is_asked_of_cuda_is_there() -> None:
    """By name: without a GPU none of it can be called."""
    runtime = pytest.importorskip("cuda.bindings.runtime")
    source = "".join(inspect.getsource(module) for module in (cuda_memory, tensorrt_gpu))
    names = set(re.findall(r"(?:runtime|cuda)\.(cuda[A-Z]\w+)", source))
    assert len(names) > 15
    assert [name for name in sorted(names) if not hasattr(runtime, name)] == []


@pytest.mark.skipif(gpu_there(), reason="there is a GPU")
def test_without_a_gpu_it_says_so() -> None:
    """In words, whether the bindings are installed or not; nothing is left half open."""
    with pytest.raises(Unavailable, match="GPU|CUDA"):
        CudaMemory()
