"""The deadlines and bounds of what a connection reads, without a connection and without waiting."""

from ours_emulator.http.read_progress import BODY_SECONDS, HEAD_BYTES, HEAD_SECONDS, ReadProgress

MIB = 1024 * 1024


def in_body() -> ReadProgress:
    progress = ReadProgress(0.0)
    progress.begin_head(0.0)
    progress.begin_body(0.0)
    return progress


def limit(progress: ReadProgress, *, answered: bool = False) -> float:
    """Return after how many seconds the client is late."""
    return next(second for second in range(1000) if progress.is_late(second + 0.01, answered=answered))


def test_a_client_has_ten_seconds_for_a_head() -> None:
    progress = ReadProgress(0.0)
    assert limit(progress) == HEAD_SECONDS
    progress.begin_head(5.0)
    assert limit(progress) == 5 + HEAD_SECONDS
    assert progress.late_message(None) == "the head did not arrive within 10 s"
    assert progress.cut_off_message(None) == "the head was cut off"


def test_a_body_has_one_second_more_for_each_mib_that_has_arrived() -> None:
    progress = in_body()
    assert limit(progress) == BODY_SECONDS
    progress.add_part(3 * MIB)
    assert limit(progress) == BODY_SECONDS + 3
    assert limit(progress, answered=True) == BODY_SECONDS


def test_the_time_in_which_reading_was_paused_does_not_count_nor_what_arrived_before() -> None:
    progress = in_body()
    progress.add_part(3 * MIB)
    progress.excuse(100.0)
    assert limit(progress) == 100 + BODY_SECONDS
    progress.add_part(MIB)
    assert limit(progress) == 100 + BODY_SECONDS + 1


def test_nobody_is_late_between_requests() -> None:
    progress = in_body()
    progress.end_request()
    progress.excuse(5.0)
    assert not progress.is_late(1e9, answered=False)


def test_a_client_has_two_seconds_to_close() -> None:
    progress = in_body()
    progress.begin_closing(50.0)
    assert limit(progress) == 52


def test_what_is_missing_of_a_body_is_told() -> None:
    progress = in_body()
    progress.add_part(1)
    assert progress.late_message(None) == "the body did not arrive in time: 1 byte arrived"
    assert progress.cut_off_message(b"0" * 5000 + b"9") == "the body was cut off: 1 of 9 bytes arrived"


def test_what_is_read_must_go_on_with_the_head_or_the_body() -> None:
    progress = ReadProgress(0.0)
    progress.begin_head(0.0)
    progress.add_read(HEAD_BYTES)
    assert not progress.is_unproductive
    progress.add_read(1)
    assert progress.is_unproductive
    progress.begin_body(0.0)
    progress.add_read(HEAD_BYTES + 1)
    progress.add_part(1)
    assert not progress.is_unproductive


def test_a_body_of_many_tiny_parts_is_known() -> None:
    progress = in_body()
    for _ in range(2000):
        progress.add_part(1)
    assert not progress.has_tiny_parts
    progress.add_part(1)
    assert progress.has_tiny_parts
    progress.add_part(40_000)
    assert not progress.has_tiny_parts
