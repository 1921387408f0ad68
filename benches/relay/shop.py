"""Farebox under load: a fresh shop on SQLite, furnished through its own pages, with everything on; and what its books say."""

import secrets
import sqlite3
import subprocess
from html import unescape
from html.parser import HTMLParser

from load import MODEL
from machine import Failure, Process, free_port, wait_for
from visitor import Visitor

EMAIL = "owner@example.com"
# Dollars per million tokens, and what one answer of the mock (213 tokens in, 47 out) then costs in nano-dollars.
PRICES = {"input": "0.15", "output": "0.60", "cached_input": "0.075", "cache_write": "0.15"}
ANSWER_COSTS = 213 * 150 + 47 * 600
BALANCE = "1000000"
