from mlship.oci.registry.speed import BlobProgress


class Heard:
    def __init__(self) -> None:
        self.amounts: list[tuple[str, int, int | None, str]] = []

    def step(self, name: str, detail: str = "") -> None:
        raise AssertionError(name)

    def amount(self, name: str, done: int, total: int | None = None, unit: str = "B") -> None:
        self.amounts.append((name, done, total, unit))


def test_each_blob_tells_its_bytes_and_speed_a_few_times_a_second() -> None:
    heard, now = Heard(), [0.0]
    told = BlobProgress(heard, "push model churn", 40_000_000, clock=lambda: now[0])
    for step in range(1, 41):
        now[0] = step / 40
        told.add(step * 1_000_000, 1_000_000)
    told.finish()
    assert 3 <= len(heard.amounts) <= 6
    name, done, total, unit = heard.amounts[-1]
    assert (name, done, total, unit) == ("push model churn, 40 MB/s", 40_000_000, 40_000_000, "B")
    assert [done for _, done, _, _ in heard.amounts] == sorted(done for _, done, _, _ in heard.amounts)


def test_bytes_that_went_twice_count_for_the_speed_and_not_for_what_is_there() -> None:
    heard, now = Heard(), [0.0]
    told = BlobProgress(heard, "push x", 2_000_000, clock=lambda: now[0])
    told.add(1_000_000, 1_000_000)
    now[0] = 1.0
    told.add(1_000_000, 1_000_000)
    assert heard.amounts == [("push x, 2.0 MB/s", 1_000_000, 2_000_000, "B")]
    assert told.moved == 2_000_000
