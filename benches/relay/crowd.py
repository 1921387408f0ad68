"""A large shop: 100,000 customers with a key and a balance each, written straight into the database, and 500 channels."""

import hashlib
import secrets
import sqlite3

from load import MODEL

CUSTOMERS = 100_000
CHANNELS = 500
# So many of the channels serve the model that is asked for; the others serve models of their own, as in a shop that has grown.
SERVING = 20
BALANCE = 10_000 * 10**9
BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# The house account that gifts are debited to (src/ledger/accounts.rs).
PROMOTION = 3


def channels(owner, upstream_url):
    """Adds the channels through the back office, which seals their credentials."""
    for n in range(1, CHANNELS):
        model = MODEL if n < SERVING else f"model-{n % 40}"
        fields = {"name": f"mock-{n}", "base_url": upstream_url + "/v1", "key": secrets.token_hex(16), "models": model}
        owner.fill_in("/admin/channels/new", "/admin/channels/new", enabled="on", **fields)


def customers(database):
    """Writes the customers; the shop must not run. Returns their keys."""
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    templates = {table: dict(connection.execute(f"SELECT * FROM {table} LIMIT 1").fetchone()) for table in ("users", "wallet", "api_key", "credit", "transfer")}
    revision = connection.execute("UPDATE revision SET n = n + 1 WHERE topic = 'keys' RETURNING n").fetchone()[0]
    rows = {table: [] for table in templates}
    keys = []
    for n in range(1, CUSTOMERS + 1):
        keys.append(key := new_key())
        for table, row in of_customer(n, key, revision).items():
            rows[table].append({**templates[table], **row})
    for table in ("users", "wallet", "api_key", "credit", "transfer"):
        columns = list(templates[table])
        names, values = ", ".join(f'"{column}"' for column in columns), ", ".join(f":{column}" for column in columns)
        connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({values})", rows[table])
    connection.commit()
    connection.close()
    return keys


def of_customer(number, key, revision):
    """The rows of one customer, as far as they differ from the owner's own."""
    # Ids grow with time (src/kernel/ids.rs): these are of the first milliseconds.
    user, api_key, credit, transfer = (number << 22 | part for part in range(4))
    posting = {"debit": PROMOTION, "credit": credit, "amount": BALANCE, "kind": "grant", "user_id": user, "reference": "load"}
    email = f"customer-{number}@example.com"
    return {
        "users": {"id": user, "email": email, "email_key": email, "role": "customer", "verified_at": 1},
        "wallet": {"user_id": user, "owed": 0, "overdraft_limit": 0, "spent": 0},
        "api_key": {"id": api_key, "user_id": user, "hash": hashlib.sha256(key.encode()).hexdigest(), "prefix": key[:8], "revision": revision},
        "credit": {"id": credit, "user_id": user, "kind": "gift", "granted": BALANCE, "posted": BALANCE, "held": 0, "reference": "load"},
        "transfer": {"id": transfer, **posting, "idempotency_key": f"load:{number}", "payload_hash": payload_hash(posting)},
    }


def payload_hash(posting):
    """As src/ledger/accounts.rs has it."""
    numbers = (posting[name].to_bytes(8, "little", signed=True) for name in ("debit", "credit", "amount", "user_id"))
    content = b"".join(numbers) + posting["kind"].encode() + b"\0" + posting["reference"].encode()
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "little", signed=True)


def new_key():
    """As src/keys/format.rs has it: 43 random characters and six that prove them."""
    random = "".join(secrets.choice(BASE62) for _ in range(43))
    proof = int.from_bytes(hashlib.sha256(random.encode()).digest()[:8], "big")
    check = ""
    for _ in range(6):
        proof, digit = divmod(proof, 62)
        check += BASE62[digit]
    return f"sk-{random}{check}"
