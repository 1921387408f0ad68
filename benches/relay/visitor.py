"""A visitor without scripts: opens pages, fills in the form that is there, follows where it leads."""

import http.cookiejar
import urllib.error
import urllib.parse
import urllib.request
from html.parser import HTMLParser

from machine import Failure


class Forms(HTMLParser):
    """The forms of a page: where each goes, and its fields with what they send when nothing is changed (None: nothing)."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self._select = self._area = None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "form":
            self.found.append((given.get("action", ""), {}))
        if not self.found:
            return
        fields, name = self.found[-1][1], given.get("name")
        if tag == "input" and name:
            sends = given.get("type") not in ("checkbox", "radio") or "checked" in given
            fields[name] = given.get("value") or "" if sends else None
        elif tag == "textarea" and name:
            fields[name], self._area = "", name
        elif tag == "select" and name:
            self._select = name
        elif tag == "option" and self._select and ("selected" in given or self._select not in fields):
            fields[self._select] = given.get("value", "")

    def handle_endtag(self, tag):
        if tag == "textarea":
            self._area = None
        elif tag == "select":
            self._select = None

    def handle_data(self, data):
        if self._area and self.found:
            self.found[-1][1][self._area] += data


class Visitor:
    """One person with one cookie jar."""

    def __init__(self, url):
        self.url = url
        cookies = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener = urllib.request.build_opener(cookies)

    def open(self, path, fields=None):
        """The text of a page. With fields, they are posted."""
        data = urllib.parse.urlencode(fields).encode() if fields is not None else None
        request = urllib.request.Request(urllib.parse.urljoin(self.url, path), data=data, headers={"accept-language": "en"})
        try:
            with self.opener.open(request, timeout=20) as response:
                return response.read().decode()
        except urllib.error.HTTPError as error:
            raise Failure(f"{path} answered {error.code}:\n{error.read().decode(errors='replace')[-3000:]}") from error

    def fill_in(self, path, action, **typed):
        """Opens a page, fills in the form that goes to `action`, sends it, and returns the page that follows."""
        forms = [fields for target, fields in Forms(self.open(path)).found if target == action]
        if not forms:
            raise Failure(f"{path} has no form to {action}")
        unknown = [name for name in typed if name not in forms[0]]
        if unknown:
            raise Failure(f"the form to {action} has no field {unknown}; it has {list(forms[0])}")
        return self.open(action, {name: value for name, value in {**forms[0], **typed}.items() if value is not None})
