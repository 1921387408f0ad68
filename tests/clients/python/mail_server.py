"""A mail server with a certificate of a private authority, which takes mail over STARTTLS and with a password only."""

import datetime
import ipaddress
import socket
import ssl
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Authority:
    """Signs certificates for 127.0.0.1; `file` is what whoever trusts it must know."""

    def __init__(self, folder, name="Private Authority"):
        self.folder = Path(folder)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        builder = self.builder(self.name, self.key).add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        self.file = self.folder / f"{name}.pem"
        self.file.write_bytes(self.sign(builder))

    def builder(self, subject, key):
        now = datetime.datetime.now(datetime.timezone.utc)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
        )

    def sign(self, builder):
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def server_context(self):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail server")])
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        builder = self.builder(subject, key).add_extension(address, critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        chain, private = self.folder / "server.pem", self.folder / "server.key"
        chain.write_bytes(self.sign(builder))
        private.write_bytes(secret)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(chain, private)
        return context


class MailServer:
    """Keeps what it was sent in `mails`, and every password that was tried in `tried`."""

    def __init__(self, authority, password, encrypted=True):
        self.password = password
        self.mails, self.tried = [], []
        tls = {"tls_context": authority.server_context(), "require_starttls": True, "auth_require_tls": True} if encrypted else {"auth_require_tls": False}
        self.controller = Controller(self, hostname="127.0.0.1", port=free_port(), authenticator=self.check, auth_required=True, **tls)

    def __enter__(self):
        self.controller.start()
        self.port = self.controller.port
        return self

    def __exit__(self, *_):
        self.controller.stop()

    def check(self, server, session, envelope, mechanism, data):
        self.tried.append((data.login.decode(), data.password.decode(), session.ssl is not None))
        # Not handled: the server is to answer a wrong password itself.
        return AuthResult(success=data.password.decode() == self.password, handled=False)

    async def handle_DATA(self, server, session, envelope):
        self.mails.append((session, envelope))
        return "250 taken"
