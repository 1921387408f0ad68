"""Farebox under load: a fresh shop on SQLite, furnished through its own pages, with everything on; and what its books say."""

import re
import secrets
import sqlite3
import subprocess

import crowd
from load import MODEL
from machine import Failure, Process, free_port, wait_for
from visitor import Visitor

EMAIL = "owner@example.com"
# Dollars per million tokens; and what one answer of the mock, 213 tokens in and 47 out, then costs in nano-dollars.
PRICES = {"input": "0.15", "output": "0.60"}
ANSWER_COSTS = 213 * 150 + 47 * 600
BALANCE = "10000"
# Settings of the caller's shell that would change what is measured.
FORGOTTEN = ("APP_SECRET", "LOG_FORMAT", "PUBLIC_URL", "REDIS_URL", "RUST_LOG", "SMTP_HOST", "SQLITE_SYNCHRONOUS", "WORKER_THREADS")


class Shop:
    """A running Farebox with one customer, one channel and one model; or, crowded, with very many."""

    def __init__(self, program, upstream_url, core, folder, crowded=False):
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.program, self.folder, self.summary = program, folder, ""
        self.database = folder / "data" / "farebox.db"
        self.environment = {"LISTEN": f"127.0.0.1:{port}", "DATA_DIR": "data", "DATABASE_URL": "sqlite://data/farebox.db"}
        self.environment |= dict.fromkeys(FORGOTTEN, "")
        password = secrets.token_hex(16)
        self.run("admin", "create-owner", "--email", EMAIL, typed=password + "\n")
        self.core = core
        self.start()
        try:
            self.keys = [self.furnish(password, upstream_url, crowded)]
            if crowded:
                self.process.stop()
                self.keys = crowd.customers(self.database)
                self.start()
        except BaseException:
            self.process.stop()
            raise

    def start(self):
        """Runs it, until it is ready."""
        self.process = Process("farebox", self.core, [self.program, "serve"], self.folder, self.environment)
        self.process.ready(self.url + "/readyz")

    def run(self, *arguments, typed=""):
        """Runs a command of the program on the shop's database; returns what it printed."""
        command = [self.program, *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, input=typed, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failure(f"farebox {' '.join(arguments)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def furnish(self, password, upstream_url, crowded):
        """What an owner does first. They are their own customer here; returns the key."""
        owner = Visitor(self.url)
        owner.fill_in("/log-in", "/log-in", email=EMAIL, password=password)
        owner.fill_in("/admin/models/new", "/admin/models/new", name=MODEL, enabled="on", **PRICES)
        channel = {"name": "mock", "base_url": upstream_url + "/v1", "key": secrets.token_hex(16), "models": MODEL}
        owner.fill_in("/admin/channels/new", "/admin/channels/new", enabled="on", **channel)
        if crowded:
            crowd.channels(owner, upstream_url)
        account = find(r'href="(/admin/users/\w+)"', owner.open("/admin/users"))
        owner.fill_in(account, f"{account}/adjust", amount=BALANCE, reason="for the load harness")
        return find(r'<code id="new-key">(sk-\w+)</code>', owner.fill_in("/account/keys", "/account/keys", name="load"))

    def charged(self):
        """How many requests were charged so far. Waits until none is open."""
        wait_for("every request to be settled", lambda: self.ask("SELECT COUNT(*) FROM hold WHERE state = 'open'")[0][0] == 0)
        return self.ask("SELECT COUNT(*) FROM request WHERE cost > 0")[0][0]

    def ask(self, sql):
        """Reads the database, beside the running program."""
        connection = sqlite3.connect(f"file:{self.database}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def close_books(self):
        """Stops the shop and proves its books; returns what is wrong with them."""
        wrong = []
        if code := self.process.stop():
            wrong.append(f"farebox ended with {code} on SIGTERM")
        for outcome, count, cheapest, dearest in self.ask("SELECT outcome, COUNT(*), MIN(cost), MAX(cost) FROM request GROUP BY outcome"):
            if outcome not in ("complete", "client_gone"):
                wrong.append(f"{count} requests ended as {outcome}")
            elif outcome == "complete" and not cheapest == dearest == ANSWER_COSTS:
                wrong.append(f"an answer costs {ANSWER_COSTS} nano-dollars, but was charged with {cheapest} to {dearest}")
        requests, cost = self.ask("SELECT COUNT(*), SUM(cost) FROM request WHERE cost > 0")[0]
        captures, captured = self.ask("SELECT COUNT(*), SUM(captured) FROM hold WHERE captured > 0")[0]
        if (requests, cost) != (captures, captured):
            wrong.append(f"{requests} requests cost {cost}, but {captures} holds captured {captured}")
        self.summary = f"{requests} requests charged with ${(cost or 0) / 1e9:.6f}"
        try:
            self.run("audit")
        except Failure as failure:
            wrong.append(str(failure))
        else:
            self.summary += ", audit clean"
        return wrong


def find(pattern, page):
    """What the pattern's group matches on a page."""
    found = re.search(pattern, page)
    if not found:
        raise Failure(f"{pattern} is not on the page:\n{page[:3000]}")
    return found.group(1)
