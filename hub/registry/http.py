"""HTTP as a downloader needs it: what may pass is tried again, what will not is explained.

Proxies and certificate authorities are those of `requests` (`HTTPS_PROXY`, `NO_PROXY`,
`REQUESTS_CA_BUNDLE`). Certificates are always checked. A token goes to the host it is for and to no
other, also after a redirect, and stands in no message.
"""

from __future__ import annotations

import email.utils
import random
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from hub import __version__
from hub.constants import timeout_s
from hub.errors import DownloadError

if TYPE_CHECKING:
    import requests

CONNECT_TIMEOUT_S = 10.0
MAX_ATTEMPTS = 5
MAX_WAIT_S = 60.0
_MAX_REDIRECTS = 10
_REDIRECTS = {301, 302, 303, 307, 308}
# "Try again": timeouts, too many requests, and servers that are out of order for the moment.
_TRANSIENT = {408, 425, 429, 500, 502, 503, 504}
_MEANING = {
    401: "it asks for a token, or refuses the one given",
    403: "access is forbidden: the token lacks the right, or a form must be accepted on the site",
    404: "there is no such file",
    410: "the file was removed",
    416: "it does not have the part of the file that was asked for",
    429: "too many requests",
}


class Attempts:
    """Counts tries in a row without progress, and waits between them.

    Waits double from half a second, with jitter, unless the server says how long; all together they
    last at most `MAX_WAIT_S`.
    """

    def __init__(
        self,
        limit: int = MAX_ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.limit = limit
        self._sleep = sleep
        self._failures = 0
        self._waited_s = 0.0

    def progressed(self) -> None:
        """Bytes came: earlier failures no longer count."""
        self._failures = 0
        self._waited_s = 0.0

    def failed(self, error: DownloadError) -> None:
        """Wait before the next try.

        Raises:
            DownloadError: `error` itself, if there is nothing to wait for or no try left.
        """
        self._failures += 1
        if not error.transient or self._failures >= self.limit:
            raise error
        wait_s = error.retry_after_s
        if wait_s is None:
            wait_s = 0.5 * 2 ** (self._failures - 1) * random.uniform(0.75, 1.25)
        if self._waited_s + wait_s > MAX_WAIT_S:
            raise error
        self._waited_s += wait_s
        self._sleep(wait_s)


class Client:
    """Sends requests over connections that stay open.

    Args:
        token: sent as a bearer token to the origin of each request's address, and only there.
        token_name: the environment variable it comes from, for messages.
        attempts: how many tries a request gets.
        sleep: waits; tests replace it.
    """

    def __init__(
        self,
        token: str | None = None,
        attempts: int = MAX_ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
        token_name: str = "",
    ) -> None:
        import requests

        self.session = requests.Session()
        self.session.headers["User-Agent"] = f"ernie-hub/{__version__}"
        # Compressed transfers can neither be resumed nor compared with a registered size.
        self.session.headers["Accept-Encoding"] = "identity"
        self.token = token
        self._token_name = token_name
        self._limit = attempts
        self._sleep = sleep

    def attempts(self) -> Attempts:
        """A fresh count of tries."""
        return Attempts(self._limit, self._sleep)

    def close(self) -> None:
        """Close the connections."""
        self.session.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *unused: object) -> None:
        self.close()

    def send(
        self,
        url: str,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        data: Any = None,
        allowed: tuple[int, ...] = (200,),
    ) -> requests.Response:
        """Send one request, follow its redirects, and return the answer with its body unread.

        Raises:
            DownloadError: nobody answered, or the status is not one of `allowed`.
        """
        origin = _origin(url)
        auth = _Bearer(self.token) if self.token else None
        here = url
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._send_once(
                here, method, headers, data, auth if _origin(here) == origin else None
            )
            if response.status_code not in _REDIRECTS or "location" not in response.headers:
                break
            response.close()
            here = _redirected(here, response.headers["location"])
        else:
            raise DownloadError(f"{public_url(url)} redirects in a circle.")
        if response.status_code in allowed:
            return response
        response.close()
        raise _refusal(here, response, self._token_name)

    def _send_once(
        self,
        url: str,
        method: str,
        headers: Mapping[str, str] | None,
        data: Any,
        auth: Any,
    ) -> requests.Response:
        import requests

        try:
            return self.session.request(
                method,
                url,
                headers=dict(headers or {}),
                data=data,
                auth=auth,
                stream=True,
                allow_redirects=False,
                timeout=(min(CONNECT_TIMEOUT_S, timeout_s()), timeout_s()),
            )
        except requests.exceptions.RequestException as error:
            raise explain(url, error) from error

    def read(self, url: str, max_bytes: int = 64 << 20, **options: Any) -> bytes:
        """The whole, short body behind `url`, with retries.

        Raises:
            DownloadError: it cannot be had, or is longer than `max_bytes`.
        """
        import requests

        attempts = self.attempts()
        while True:
            try:
                with self.send(url, **options) as response:
                    body: bytes = response.raw.read(max_bytes + 1, decode_content=True)
                if len(body) > max_bytes:
                    raise DownloadError(f"{public_url(url)} is longer than {max_bytes:,} bytes.")
                return body
            except DownloadError as error:
                attempts.failed(error)
            except (requests.exceptions.RequestException, OSError) as error:
                attempts.failed(explain(url, error))
            except Exception as error:  # urllib3's own, when a body breaks off
                attempts.failed(explain(url, error))


class _Bearer:
    """Puts the token into the request; unlike a header it is not displaced by a netrc file."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def public_url(url: str) -> str:
    """The address without what may be secret in it: user, password, query.

    >>> public_url("https://me:secret@example.org/a.bin?signature=x")
    'https://example.org/a.bin'
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    default = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or default


def _redirected(here: str, location: str) -> str:
    target = urljoin(here, location)
    old, new = urlsplit(here).scheme, urlsplit(target).scheme
    if new not in ("http", "https") or (old == "https" and new == "http"):
        raise DownloadError(
            f"{public_url(here)} redirects to {public_url(target)}, which is not encrypted. "
            "It was not followed."
        )
    return target


def _refusal(url: str, response: requests.Response, token_name: str) -> DownloadError:
    status = response.status_code
    meaning = _MEANING.get(status, response.reason or "it failed")
    hint = f" The token is read from {token_name}." if token_name and status in (401, 403) else ""
    return DownloadError(
        f"{public_url(url)} answered {status}: {meaning}.{hint}",
        transient=status in _TRANSIENT,
        status=status,
        retry_after_s=_retry_after_s(response.headers.get("retry-after")),
    )


def _retry_after_s(value: str | None) -> float | None:
    """RFC 9110, section 10.2.3: seconds, or a date."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def explain(url: str, error: Exception) -> DownloadError:
    """What a failed request means, as a sentence without secrets."""
    import requests
    import urllib3

    host = urlsplit(url).hostname
    where = public_url(url)
    if isinstance(error, requests.exceptions.SSLError):
        if "CERTIFICATE_VERIFY_FAILED" not in str(error):
            return DownloadError(f"{where}: {host} does not speak TLS as expected.")
        return DownloadError(
            f"{where}: the certificate of {host} is not trusted. If your company's proxy signs "
            "certificates itself, name its CA file in REQUESTS_CA_BUNDLE."
        )
    if isinstance(error, requests.exceptions.ProxyError):
        proxies = requests.utils.get_environ_proxies(url)
        proxy = public_url(proxies.get(urlsplit(url).scheme) or proxies.get("all") or "")
        return DownloadError(f"{where}: the proxy {proxy} cannot be reached or refuses.")
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.InvalidSchema):
        return DownloadError(f"{where} is not an address that can be fetched.")
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return DownloadError(f"{where}: {host} does not answer.")
    if isinstance(error, requests.exceptions.ConnectionError):
        reason = error.args[0] if error.args else None
        cause = getattr(reason, "reason", None)
        if isinstance(cause, urllib3.exceptions.NewConnectionError):
            # No route, no such name, nobody listening: trying again at once helps nobody, and
            # another source may be near.
            return DownloadError(f"{where}: {host} cannot be reached.")
    return DownloadError(f"{where}: the connection broke off ({_kind(error)}).", transient=True)


def _kind(error: Exception) -> str:
    if "timed out" in str(error).lower():
        return f"no byte for {timeout_s():g} s"
    return type(error).__name__
