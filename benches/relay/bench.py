#!/usr/bin/env python3
"""Measures Farebox against nginx as the floor: the same work, the same upstream, the same core, one after the other in one run.

The gateway under load has core 0 to itself, the upstream and wrk share core 1. Each round measures every mode on both gateways, and
the order turns. Then the books are compared: what callers received, what the upstream saw, what was charged. When they do not
match, the run is void, and no ratio is printed. Start it with scripts/bench, which builds and gets what is needed.
"""

import argparse
import copy
import json
import string
import sys
import tempfile
import urllib.request
from pathlib import Path

import load
from machine import Failure, Process, free_port, wait_for
from report import CROWD, LARGE, Report
from shop import Shop

GATEWAY_CORE, LOAD_CORE = 0, 1
# A gateway may still have requests of callers who have hung up: silence is so many polls, ten milliseconds apart, without any.
SILENT_POLLS = 30


class Upstream:
    """The mock upstream, and what it has seen."""

    def __init__(self, program, folder):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = Process("mock", LOAD_CORE, [program, f"127.0.0.1:{self.port}"], folder)
        self.process.ready(self.url + "/stats")

    def seen(self):
        """How many completions were asked for so far. Waits until all are answered and nobody asks any more."""
        polls = [self._stats()]

        def silent():
            polls.append(self._stats())
            last = polls[-SILENT_POLLS:]
            return len(last) == SILENT_POLLS and all(stats == last[0] for stats in last) and finished(last[0]) == last[0]["begun"]

        wait_for("the upstream to fall silent", silent)
        return polls[-1]["begun"]

    def _stats(self):
        with urllib.request.urlopen(self.url + "/stats", timeout=5) as response:
            stats = json.load(response)
        if stats["other"]:
            raise Failure("the upstream was asked for something that it does not have")
        return stats


def finished(stats):
    """How many completions ended, one way or the other."""
    return stats["chat"] + stats["stream"] + stats["aborted"]


class Nginx:
    """The floor."""

    keys = ("none",)

    def __init__(self, upstream, folder):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        template = string.Template((load.HERE / "nginx.conf").read_text())
        (folder / "nginx.conf").write_text(template.substitute(upstream=upstream.port, port=port))
        command = ["nginx", "-p", folder, "-e", "error.log", "-c", folder / "nginx.conf"]
        self.process = Process("nginx", GATEWAY_CORE, command, folder)
        self.process.ready(self.url + "/stats")


def measure(gateway, mode, options, upstream, folder):
    """Warms up, loads, and counts on every side."""
    load.run(gateway.url, gateway.keys, mode, options.warm_up, LOAD_CORE, folder)
    before = count(gateway, upstream)
    record = load.run(gateway.url, gateway.keys, mode, options.seconds, LOAD_CORE, folder)
    after = count(gateway, upstream)
    return record | {name: after[name] - before[name] for name in before}


def count(gateway, upstream):
    """The counters that are read before and after a measured run."""
    counters = {"charged": gateway.charged()} if isinstance(gateway, Shop) else {}
    return counters | {"seen": upstream.seen(), "processor_s": gateway.process.processor_seconds()}


def bench(options, folder):
    """The whole run; whether it counts."""
    upstream = Upstream(options.mock, folder)
    servers = [upstream.process]
    try:
        shop = Shop(options.farebox, upstream.url, GATEWAY_CORE, folder)
        servers.insert(0, shop.process)
        nginx = Nginx(upstream, folder)
        servers.insert(0, nginx.process)
        gateways = [("farebox", shop), ("nginx", nginx)]
        if options.crowd:
            (folder / "crowd").mkdir()
            crowd = Shop(options.farebox, upstream.url, GATEWAY_CORE, folder / "crowd", crowded=True)
            servers.insert(0, crowd.process)
            gateways.insert(1, (CROWD, crowd))
            # The same shop, and all of the load from one of its customers.
            large = copy.copy(crowd)
            large.keys = crowd.keys[:1]
            gateways.insert(1, (LARGE, large))
        idle = {name: gateway.process.memory_mib() for name, gateway in gateways}
        modes = (*load.MODES, *((load.TRANSLATED,) if options.translated else ()))
        for name, gateway in gateways:
            for mode in modes:
                if measures(name, mode):
                    load.check_answer(gateway.url, gateway.keys[0], mode)
        report = Report()
        for turn in range(options.rounds):
            for mode in modes:
                for name, gateway in gateways if turn % 2 == 0 else reversed(gateways):
                    if measures(name, mode):
                        report.add(name, mode, measure(gateway, mode, options, upstream, folder))
        memory = {name: gateway.process.memory_mib() for name, gateway in gateways}
        shops = [(name, gateway) for name, gateway in gateways if isinstance(gateway, Shop) and name != LARGE]
        for _, gateway in shops:
            report.objections += gateway.close_books()
    finally:
        for server in servers:
            server.stop()
    report.print_summary()
    for name, gateway in shops:
        print(f"{name} memory {memory[name]:.0f} MB after load ({idle[name]:.0f} idle)")
        print(f"{name} books {gateway.summary}")
    if report.objections:
        print("\nVOID: the books do not match", *report.objections, sep="\n  ")
        return False
    for mode in ("chat", "stream"):
        print(f"ratio nginx {mode} {report.ratio(mode):.3f}")
    report.print_comparisons()
    return True


def measures(name, mode):
    """Whether a gateway is measured in a mode: nginx does not translate, and a crowd is measured under load alone."""
    under_load = mode.connections > 1 and mode != load.TRANSLATED
    return {"nginx": mode != load.TRANSLATED, LARGE: under_load, CROWD: under_load}.get(name, True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--farebox", type=Path, required=True, help="the program, built for release")
    parser.add_argument("--mock", type=Path, required=True, help="the mock upstream, built for release")
    parser.add_argument("--quick", action="store_true", help="two short rounds, in less than two minutes")
    parser.add_argument("--crowd", action="store_true", help="also with 500 channels and 100,000 customers")
    parser.add_argument("--translated", action="store_true", help="also streams that are asked for in Anthropic's dialect")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=int, help="of each measured run")
    options = parser.parse_args()
    options.rounds = options.rounds or (2 if options.quick else 3)
    options.seconds = options.seconds or (5 if options.quick else 10)
    options.warm_up = 1 if options.quick else 3
    with tempfile.TemporaryDirectory(prefix="farebox-bench-") as folder:
        try:
            return 0 if bench(options, Path(folder)) else 1
        except Failure as failure:
            print(f"error: {failure}", file=sys.stderr)
            return 1


if __name__ == "__main__":
    sys.exit(main())
