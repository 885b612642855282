"""Servers on this machine that tests start: right ones, and ones that misbehave on purpose."""

from tests.servers.files import Fault, FileServer, Request

__all__ = ["Fault", "FileServer", "Request"]
