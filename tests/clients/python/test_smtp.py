"""Mail over SMTP, to a real mail server: with STARTTLS and a password, or not at all."""

import email
import email.policy
import os
import re
import signal
import sqlite3
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from mail_server import Authority, MailServer, free_port
from shop import BINARY, START_SECONDS, STOP_SECONDS, Visitor, wait_for

PASSWORD = "the mail server's own word"
CUSTOMER = "ada@example.com"


class ServedShop:
    """`farebox serve` with an empty database and a mail server."""

    def __init__(self, folder, server, ca_file, password=PASSWORD):
        self.folder, port = Path(folder), free_port()
        self.url = f"http://127.0.0.1:{port}"
        settings = {
            "LISTEN": f"127.0.0.1:{port}",
            "DATA_DIR": str(self.folder / "data"),
            "DATABASE_URL": f"sqlite://{self.folder}/data/farebox.db",
            "MAIL_FROM": "The Shop <shop@example.com>",
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(server.port),
            "SMTP_USERNAME": "shop",
            "SMTP_PASSWORD": password,
            "SMTP_CA_FILE": str(ca_file),
        }
        self.environment = {"PATH": os.environ["PATH"]} | settings

    def __enter__(self):
        self.log = open(self.folder / "farebox.log", "w+", encoding="utf-8")
        self.process = subprocess.Popen([str(BINARY), "serve"], cwd=self.folder, env=self.environment, stdout=self.log, stderr=self.log)
        try:
            wait_for(self.is_ready, f"{BINARY} serve answers", START_SECONDS)
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the shop did not start:\n{self.said()}")
        return self

    def is_ready(self):
        assert self.process.poll() is None, f"the shop ended with {self.process.returncode}:\n{self.said()}"
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=5) as response:
                return response.status == 200
        except urllib.error.URLError:
            return False

    def said(self):
        self.log.flush()
        return Path(self.log.name).read_text(encoding="utf-8")

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the shop did not stop within {STOP_SECONDS} s of SIGTERM:\n{self.said()}")
        finally:
            self.log.close()

    def sign_up(self):
        visitor = Visitor(self)
        visitor.submit(visitor.get("/sign-up"), "/sign-up", email=CUSTOMER, password="correct horse")
        return visitor

    def outbox(self):
        """Attempts, whether it was sent, and the last error of the only mail."""
        database = sqlite3.connect(f"file:{self.folder}/data/farebox.db?mode=ro", uri=True)
        try:
            [row] = database.execute("SELECT attempts, sent_at IS NOT NULL, last_error FROM outbox").fetchall()
            return row
        finally:
            database.close()

    def first_failure(self):
        def failed():
            attempts, sent, error = self.outbox()
            return attempts and error and (sent, error)

        sent, error = wait_for(failed, "an attempt to send the mail", 40)
        assert not sent
        return error


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


def plain_text(envelope):
    mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
    return mail, mail.get_body(("plain",)).get_content()


def test_the_link_arrives_encrypted_after_a_log_in(tmp_path, authority):
    with MailServer(authority, PASSWORD) as server, ServedShop(tmp_path, server, authority.file) as shop:
        visitor = shop.sign_up()
        wait_for(lambda: server.mails, "the mail arrives")
        [(session, envelope)] = server.mails
        assert session.ssl is not None and session.authenticated
        assert (envelope.mail_from, envelope.rcpt_tos) == ("shop@example.com", [CUSTOMER])
        assert server.tried == [("shop", PASSWORD, True)]
        mail, text = plain_text(envelope)
        assert mail["from"] == "The Shop <shop@example.com>" and mail["to"] == CUSTOMER
        assert mail["message-id"].endswith("@example.com>")
        assert "text/html" in [part.get_content_type() for part in mail.walk()]
        [link] = re.findall(r"https?://\S+", text)
        assert link.startswith(f"{shop.url}/verify?token=")
        assert link in mail.get_body(("html",)).get_content()
        wait_for(lambda: shop.outbox()[1], "the mail is marked as sent")
        assert shop.outbox() == (1, 1, None)
        # The link does what it says.
        visitor.submit(visitor.get(link), "/verify")
        assert len(server.mails) == 1
        assert PASSWORD not in shop.said()


def test_a_wrong_password_leaves_the_mail_in_the_outbox_until_it_is_right(tmp_path, authority):
    with MailServer(authority, "another word") as server, ServedShop(tmp_path, server, authority.file) as shop:
        shop.sign_up()
        assert "535" in shop.first_failure()
        assert server.mails == [] and server.tried[0] == ("shop", PASSWORD, True)
        server.password = PASSWORD
        wait_for(lambda: server.mails, "the mail is tried again", 40)
        wait_for(lambda: shop.outbox()[1], "the mail is marked as sent")
        assert shop.outbox() == (2, 1, None)
        assert PASSWORD not in shop.said()


def test_a_server_whose_certificate_is_not_trusted_gets_neither_password_nor_mail(tmp_path, authority):
    (tmp_path / "other").mkdir()
    stranger = Authority(tmp_path / "other", "Another Authority")
    with MailServer(stranger, PASSWORD) as server, ServedShop(tmp_path, server, authority.file) as shop:
        shop.sign_up()
        assert "certificate" in shop.first_failure()
        assert (server.mails, server.tried) == ([], [])


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_a_server_without_encryption_gets_neither_password_nor_mail(tmp_path, authority):
    with MailServer(authority, PASSWORD, encrypted=False) as server, ServedShop(tmp_path, server, authority.file) as shop:
        shop.sign_up()
        assert shop.first_failure()
        assert (server.mails, server.tried) == ([], [])
