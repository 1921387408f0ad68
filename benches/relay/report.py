"""What the numbers say: medians over the rounds, and whether the books allow to say anything."""

from statistics import median

GATEWAYS = ("farebox", "nginx")
# The same program with many customers and channels, where that is measured: one of them asks, or all in turn.
LARGE, CROWD = "large", "crowd"
# What is compared with what.
COMPARISONS = (
    *(((name, mode), ("farebox", mode)) for name in (LARGE, CROWD) for mode in ("chat", "stream")),
    (("farebox", "translated"), ("farebox", "stream")),
)


class Report:
    """The measurements of a run."""

    def __init__(self):
        self.measured = {}
        self.objections = []

    def add(self, gateway, mode, record):
        """One measured run. `record` has what wrk measured, what the upstream saw, what was charged, and the processor time."""
        self.measured.setdefault((gateway, mode.name), []).append(record)
        self.objections += objections(gateway, mode, record)
        charged = f"  charged {record['charged']:>7}" if "charged" in record else ""
        print(
            f"{gateway:<8} {mode.name:<7} {per_second(record):>9.1f}/s  p50 {record['p50_us'] / 1000:>6.2f} ms  p99 {record['p99_us'] / 1000:>6.2f} ms"
            f"  {processor_us(record):>6.1f} us each  answered {record['answered']:>7}  seen {record['seen']:>7}{charged}",
            flush=True,
        )

    def value(self, gateway, mode, measure):
        """The median over the rounds."""
        return median(measure(record) for record in self.measured[gateway, mode])

    def ratio(self, mode):
        """Answers per second, as a part of what nginx gives."""
        ours, floor = (self.value(gateway, mode, per_second) for gateway in GATEWAYS)
        return ours / floor

    def print_comparisons(self):
        """What else was measured, as a part of what Farebox gives without it."""
        for measured, plain in COMPARISONS:
            if measured in self.measured:
                ours, ours_us = (self.value(*measured, measure) for measure in (per_second, processor_us))
                name = " ".join(measured)
                print(f"{name} {ours:.0f} answers per second, {ours_us:.0f} us each: {ours / self.value(*plain, per_second):.3f} of {' '.join(plain)}")

    def print_summary(self):
        """The lines that are compared from one version to the next."""
        print()
        for mode in ("chat", "stream"):
            for gateway in GATEWAYS:
                print(f"{gateway} {mode} {self.value(gateway, mode, per_second):.0f} answers per second")
        for mode in ("chat", "stream"):
            ours, floor = (self.value(gateway, mode, processor_us) for gateway in GATEWAYS)
            print(f"processor {mode} {ours:.0f} us per answer (nginx {floor:.0f})")
        ours, floor = (self.value(gateway, "chat@1", lambda record: record["p50_us"]) for gateway in GATEWAYS)
        print(f"added latency chat@1 {(ours - floor) / 1000:.2f} ms")


def per_second(record):
    """Answers per second."""
    return record["answered"] * 1e6 / record["microseconds"]


def processor_us(record):
    """Processor time of the gateway for one answer, in microseconds."""
    return record["processor_s"] * 1e6 / max(record["seen"], 1)


def objections(gateway, mode, record):
    """Why a run does not count. wrk hangs up at the end: so many requests as it has connections may be begun and not answered,
    and each of them that reached the upstream is charged too."""
    found = []
    if record["failed"]:
        found.append(f"{record['failed']} requests failed")
    if not record["answered"]:
        found.append("nothing was answered")
    if not 0 <= record["seen"] - record["answered"] <= mode.connections:
        found.append(f"answered {record['answered']}, but the upstream saw {record['seen']}")
    if "charged" in record and record["charged"] != record["seen"]:
        found.append(f"the upstream saw {record['seen']}, but {record['charged']} were charged")
    return [f"{gateway} {mode.name}: {text}" for text in found]
