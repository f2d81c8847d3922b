import signal
import threading

import pytest

from mlship.parallel import Ahead, in_parallel, side_by_side


def test_results_come_in_the_order_of_what_was_given():
    first = threading.Event()

    def work(number: int) -> int:
        if number == 0:
            assert first.wait(5)
        first.set() if number == 3 else None
        return number * 10

    assert in_parallel(work, range(4)) == [0, 10, 20, 30]
    assert in_parallel(work, []) == []


def test_the_first_error_is_raised_at_once_and_nothing_new_begins():
    never, begun = threading.Event(), []

    def work(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise ValueError("one is wrong")
        never.wait(30)

    with pytest.raises(ValueError, match="one is wrong"):
        in_parallel(work, range(50), most=2)
    never.set()
    assert len(begun) <= 3


def test_an_error_waits_for_those_who_write_into_the_same_folder():
    begun, ended = threading.Event(), []

    def work(number: int) -> None:
        if number == 0:
            assert begun.wait(5)
            raise ValueError("no room")
        begun.set()
        ended.append(number)

    with pytest.raises(ValueError, match="no room"):
        in_parallel(work, range(2), patience_s=5)
    assert ended == [1]


def test_calls_run_side_by_side():
    meeting = threading.Barrier(2, timeout=5)
    assert sorted(side_by_side(meeting.wait, meeting.wait)) == [0, 1]


def test_what_was_begun_ahead_tells_its_error_when_it_is_asked():
    assert Ahead(lambda: 5).result() == 5
    failing = Ahead(lambda: {}["nothing"])
    with pytest.raises(KeyError):
        failing.result()


def test_an_interrupt_that_the_system_hands_to_another_thread_is_acted_on_at_once():
    done, over = threading.Event(), []

    def work(each):
        if each:
            signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        done.wait(20)
        over.append(each)

    with pytest.raises(KeyboardInterrupt):
        in_parallel(work, range(2))
    assert over == []
    done.set()
