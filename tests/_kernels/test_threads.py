"""The thread pool: order, nesting, errors."""

from __future__ import annotations

import threading

import pytest

from ohmfield._kernels.threads import num_threads, run_parallel
from ohmfield.spec import InputError


def test_results_keep_the_order_of_the_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    for threads in ("1", "2", "5"):
        monkeypatch.setenv("OHMFIELD_THREADS", threads)
        assert run_parallel(lambda job: job * job, range(50)) == [job * job for job in range(50)]


def test_two_jobs_do_run_at_once_and_nested_ones_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OHMFIELD_THREADS", "2")
    barrier = threading.Barrier(2, timeout=20)

    def job(_: int) -> set[int]:
        barrier.wait()  # passes only while both jobs run
        return set(run_parallel(lambda _: threading.get_ident(), range(8)))

    first, second = run_parallel(job, range(2))
    assert len(first) == len(second) == 1
    assert first != second


def test_an_error_in_any_thread_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OHMFIELD_THREADS", "2")

    def job(index: int) -> None:
        if index == 7:
            raise ValueError("seven")

    with pytest.raises(ValueError, match="seven"):
        run_parallel(job, range(40))
    assert run_parallel(lambda job: job, [1, 2]) == [1, 2]  # the pool still works


@pytest.mark.parametrize("text", ["0", "two", "-1", "257"])
def test_bad_thread_counts_are_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OHMFIELD_THREADS", text)
    with pytest.raises(InputError, match="OHMFIELD_THREADS"):
        num_threads()
