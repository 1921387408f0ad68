"""A running `farebox demo`, its website as a customer uses it, and what it charged."""

import email
import email.policy
import http.cookiejar
import json
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
BINARY = REPOSITORY / os.environ.get("FAREBOX_BIN", "target/debug/farebox")
START_SECONDS = 60
STOP_SECONDS = 30


class Shop:
    """Starts the demo in a folder of its own, so that it leaves nothing in the repository; stops it at the end of the `with` block."""

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="farebox-sdk-")
        self.log = open(Path(self.folder.name) / "stderr.log", "w+", encoding="utf-8")
        command = [str(BINARY), "demo", "--json", "--instant", "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, cwd=self.folder.name, stdout=subprocess.PIPE, stderr=self.log, text=True)
        try:
            self.facts = json.loads(self.first_line())
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.url = self.facts["url"].rstrip("/")
        self.key = self.facts["key"]
        return self

    def first_line(self):
        # The pipe is closed by killing the process, which ends the read: nothing waits for ever.
        guard = threading.Timer(START_SECONDS, self.process.kill)
        guard.start()
        try:
            line = self.process.stdout.readline()
        finally:
            guard.cancel()
        assert line, f"{BINARY} said nothing within {START_SECONDS} s:\n{self.stderr()}"
        return line

    def said(self, question, **more):
        """What the provider behind the shop says to a question by itself: the words that have to arrive whatever lies between."""
        body = {"model": "oracle", "messages": [{"role": "user", "content": question}], **more}
        headers = {"authorization": f"Bearer {self.facts['upstream']['key']}", "content-type": "application/json"}
        request = urllib.request.Request(f"{self.facts['upstream']['url']}/v1/chat/completions", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.loads(response.read())["choices"][0]["message"]["content"]

    def generation(self, request_id):
        """The shop's own record of one call, with numbers as exact as they were sent."""
        request = urllib.request.Request(f"{self.url}/api/v1/generations/{request_id}", headers={"authorization": f"Bearer {self.key}"})
        with urllib.request.urlopen(request, timeout=20) as response:
            return json.loads(response.read(), parse_float=Decimal)

    def stderr(self):
        self.log.flush()
        return Path(self.log.name).read_text(encoding="utf-8")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the demo did not stop within {STOP_SECONDS} s of SIGTERM:\n{self.stderr()}")
        finally:
            self.process.stdout.close()
        problems = self.stderr()
        self.log.close()
        # From another folder than the demo's: what it printed must do by itself.
        settings = {**os.environ, "DATABASE_URL": self.facts["database_url"]}
        audit = subprocess.run([str(BINARY), "audit"], cwd=REPOSITORY, env=settings, capture_output=True, text=True)
        self.folder.cleanup()
        assert code == 0, f"the demo ended with {code}:\n{problems}"
        assert audit.returncode == 0, f"the books are not clean:\n{audit.stdout}{audit.stderr}"


def wait_for(condition, what, seconds=20):
    """Asks again until the answer is true, and returns it."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.05)
    return answer


def mailed_link(shop, address, path):
    """The link to a path in the latest mail to an address."""

    def find():
        for file in sorted(Path(shop.facts["mail_dir"]).rglob("*.eml"), key=lambda file: file.stat().st_mtime, reverse=True):
            mail = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            if address in mail["to"]:
                found = re.search(rf"https?://\S+{path}\?[^\s\"<>]+", mail.get_body(("plain",)).get_content())
                return found and found.group()

    return wait_for(find, f"a mail to {address} with a link to {path}")


def billing(url, key, what, **query):
    """One of the billing answers that old clients ask for, with numbers as exact as they were sent."""
    address = f"{url}/v1/dashboard/billing/{what}?{urllib.parse.urlencode(query)}"
    request = urllib.request.Request(address, headers={"authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.loads(response.read(), parse_float=Decimal, parse_int=Decimal)


def spent(shop):
    """What the demo's key has been charged, in dollars."""
    return billing(shop.url, shop.key, "usage")["total_usage"] / 100


class Form(HTMLParser):
    """The fields, with their values, of the form that posts to an address."""

    def __init__(self, page, action):
        super().__init__()
        self.action, self.fields, self.inside = action, None, False
        self.feed(page)
        assert self.fields is not None, f"no form posts to {action} in:\n{page}"

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form":
            self.inside = urllib.parse.urlsplit(given.get("action", "")).path == self.action and self.fields is None
            self.fields = {} if self.inside else self.fields
        elif self.inside and tag in ("input", "select", "textarea") and given.get("name") and given.get("type") != "checkbox":
            self.fields[given["name"]] = given.get("value") or ""

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "form"


class Visitor:
    """Somebody with a browser that keeps cookies and fills in forms."""

    def __init__(self, shop):
        self.shop = shop
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def get(self, path):
        return self.read(urllib.request.Request(urllib.parse.urljoin(self.shop.url, path)))

    def submit(self, page, action, **values):
        """Fills in a form of a page that was read; every field must exist."""
        fields = Form(page, action).fields
        unknown = values.keys() - fields.keys()
        assert not unknown, f"the form at {action} has no {unknown}, only {sorted(fields)}"
        body = urllib.parse.urlencode(fields | values).encode()
        return self.read(urllib.request.Request(urllib.parse.urljoin(self.shop.url, action), data=body, headers={"origin": self.shop.url}))

    def read(self, request):
        try:
            with self.opener.open(request, timeout=20) as response:
                return response.read().decode()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{request.full_url} answered {error.code}:\n{error.read().decode()}") from error

    def log_in(self, email, password):
        return self.submit(self.get("/log-in"), "/log-in", email=email, password=password)

    def sign_up(self, email, password):
        self.submit(self.get("/sign-up"), "/sign-up", email=email, password=password)
        self.submit(self.get(mailed_link(self.shop, email, "/verify")), "/verify")

    def new_key(self, name, **values):
        page = self.submit(self.get("/account/keys"), "/account/keys", name=name, **values)
        key = re.search(r"sk-[0-9A-Za-z]{40,}", page)
        assert key, f"no key on the page:\n{page}"
        return key.group()
