"""A fault is told once when it begins and once when it is over."""

from hand_clock import Watch

from amg_fuse_ros.monitoring import ClockOffset, Fault, FaultBook, Severity, Statistics

SECOND = 1_000_000_000


def test_a_fault_is_told_when_it_begins_and_when_it_is_over_and_not_between():
    told, watch = [], Watch()
    book = FaultBook(lambda severity, text: told.append((severity, text)), clock=watch)
    for age in range(5):
        book.update([Fault("thermal missing", Severity.WARN, f"no thermal image for {age} s")])
        watch.now += 1
    assert book.worst.text == "no thermal image for 4 s"  # the newest text, told once all the same
    book.update([])
    assert told == [
        (Severity.WARN, "no thermal image for 0 s"),
        (Severity.OK, "over after 5.0 s: no thermal image for 4 s"),
    ]
    assert book.worst is None


def test_the_worst_fault_is_the_most_severe_and_of_these_the_one_that_was_named_first():
    book = FaultBook(lambda *_: None, clock=Watch())
    slow = Fault("dropped", Severity.WARN, "the engine is slower than the cameras")
    missing = Fault("thermal missing", Severity.WARN, "no thermal images")
    book.update([slow])
    book.update([missing, slow])  # a slow engine is no news; that a camera fails has to be seen
    assert book.worst == missing
    book.update([missing, slow, Fault("c", Severity.ERROR, "third")])
    assert book.worst.text == "third"


def test_a_loose_contact_does_not_fill_the_log():
    told, watch = [], Watch()
    book = FaultBook(lambda _, text: told.append(text), quiet_s=5.0, clock=watch)
    for _ in range(100):  # a hundred seconds, each second gone and back
        book.update([Fault("thermal missing", Severity.WARN, "missing")])
        watch.now += 0.5
        book.update([])
        watch.now += 0.5
    assert told.count("missing") == 20
    assert len(told) == 40


def test_a_fault_that_comes_back_soon_and_stays_is_told_once_it_may_be():
    told, watch = [], Watch()
    book = FaultBook(lambda _, text: told.append(text), quiet_s=5.0, clock=watch)
    missing = [Fault("thermal missing", Severity.WARN, "missing")]
    for faults in (missing, [], missing, missing, missing, missing):
        book.update(faults)
        watch.now += 2
    assert told == ["missing", "over after 2.0 s: missing", "missing"]
    book.update([])
    assert told[-1] == "over after 8.0 s: missing"


def test_what_is_forgotten_is_not_over_and_is_told_anew_when_it_holds_again():
    told, watch = [], Watch()
    book = FaultBook(lambda _, text: told.append(text), quiet_s=5.0, clock=watch)
    book.update([Fault("thermal missing", Severity.WARN, "missing")])
    book.forget()
    assert book.worst is None
    watch.now += 60
    book.update([Fault("thermal missing", Severity.WARN, "missing")])
    watch.now += 1
    book.update([])
    assert told == ["missing", "missing", "over after 1.0 s: missing"]


def test_faults_for_the_diagnostics_only_stay_out_of_the_log():
    told = []
    book = FaultBook(lambda *line: told.append(line))
    book.update([Fault("slow", Severity.WARN, "slower than the cameras", told=False)])
    book.update([])
    assert told == []


def test_a_clock_that_is_behind_shows_as_the_offset_that_mends_it():
    watch = Watch()
    clocks = ClockOffset(watch)
    assert clocks.milliseconds is None
    delays = (0.030, 0.005, 0.080)
    for number in range(30):
        watch.now += 0.033
        taken = watch.now - delays[number % 3]
        clocks.note("rgb", round(taken * SECOND))
        clocks.note("thermal", round((taken - 0.5) * SECOND))  # stamped half a second too early
    assert abs(clocks.milliseconds - 500) < 1
    watch.now += 60
    assert clocks.milliseconds is None
    clocks.note("rgb", 0)
    clocks.note("thermal", 0)
    assert abs(clocks.milliseconds) < 1


def test_rates_and_durations_are_those_of_the_last_seconds():
    watch = Watch()
    statistics = Statistics(watch)
    for number in range(200):
        statistics.count("rgb")
        statistics.add("engine", 0.001 * (number % 100))
        watch.now += 0.1
    assert abs(statistics.rate("rgb") - 10) < 0.2
    assert statistics.total("rgb") == 200
    p50, p95, p99 = statistics.milliseconds("engine", 0.5, 0.95, 0.99)
    assert 48 <= p50 <= 52
    assert 94 <= p95 <= 96
    assert 98 <= p99 <= 99.1
    watch.now += 60
    assert statistics.rate("rgb") == 0
    assert statistics.milliseconds("engine", 0.5) == (None,)
    assert statistics.milliseconds("nothing", 0.5, 0.9) == (None, None)
