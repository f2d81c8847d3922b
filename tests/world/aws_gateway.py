"""The door of AWS as HTTP: one endpoint in front of the emulators and of what stands in for the rest, for processes that know of neither.

An unmodified command reaches it by AWS_ENDPOINT_URL alone. What aws_account.py plays for a door is played here for the wire: calls in
JSON go through AccountDoor, requests and answers judged by botocore's service model; everything else goes to moto as it is.
"""

from __future__ import annotations

import json
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aws_account import Account, AccountDoor
from aws_permissions import simulated
from botocore import xform_name

from mlship.targets.aws.door import Refused

_SCOPE = re.compile(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/aws4_request")
_PLAYED = ("ecr", "ecs", "application-autoscaling")  # signing names of services in JSON, whose answers are partly made here
_OF_ITSELF = ("connection", "host", "content-length", "transfer-encoding", "expect", "accept-encoding")
_IAM = "https://iam.amazonaws.com/doc/2010-05-08/"
_CFN = "http://cloudformation.amazonaws.com/doc/2010-05-15/"


@dataclass
class Gateway:
    """asked: every request in order, `ecs create_service`. heard: called with each of them once it was answered."""

    account: Account
    asked: list[str] = field(default_factory=list)
    heard: Callable[[str], None] = lambda asked: None
    lock: threading.RLock = field(default_factory=threading.RLock)

    def answer(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        found = _SCOPE.search(headers.get("authorization", ""))
        service = found[1] if found else ""
        operation = _operation(headers, body) or f"{method} {path}"
        asked = f"{service} {operation}"
        with self.lock:
            if service in _PLAYED:
                told = self._played(service, operation, json.loads(body or b"{}"))
            elif asked == "cloudformation delete_stack":
                AccountDoor(self.account).call("cloudformation", "delete_stack", StackName=_said(body)["StackName"])
                told = 200, {"Content-Type": "text/xml"}, f'<DeleteStackResponse xmlns="{_CFN}"/>'.encode()
            elif asked == "iam simulate_principal_policy":
                told = 200, {"Content-Type": "text/xml"}, _simulated(body)
            else:
                told = self._passed(method, path, headers, body)
                if asked == "cloudformation describe_stacks" and told[0] == 200:
                    told = 200, {"Content-Type": "text/xml"}, self._with_outputs(told[2], _said(body))
        self.asked.append(asked)
        self.heard(asked)
        return told

    def _played(self, service: str, operation: str, said: dict[str, Any]) -> tuple[int, dict[str, str], bytes]:
        try:
            answer = AccountDoor(self.account).call(service, operation, **said)
        except Refused as no:
            return _refused(no.said, no.what)
        answer.pop("ResponseMetadata", None)
        return 200, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(answer, default=_seconds).encode()

    def _passed(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        kept = {name: text for name, text in headers.items() if name not in _OF_ITSELF}
        with closing(HTTPConnection(urlsplit(self.account.environ["AWS_ENDPOINT_URL"]).netloc, timeout=30)) as connection:
            connection.request(method, path, body, kept | {"Content-Length": str(len(body))})
            told = connection.getresponse()
            return told.status, dict(told.getheaders()), told.read()

    def _with_outputs(self, text: bytes, said: Mapping[str, str]) -> bytes:
        only = {"StackName": said["StackName"]} if "StackName" in said else {}
        stacks = AccountDoor(self.account).call("cloudformation", "describe_stacks", **only)["Stacks"]
        outputs = {stack["StackId"]: stack.get("Outputs", []) for stack in stacks}
        root = ET.fromstring(text)
        for stack in root.iter(f"{{{_CFN}}}member"):
            name = stack.findtext(f"{{{_CFN}}}StackId")
            if name in outputs:
                for old in stack.findall(f"{{{_CFN}}}Outputs"):
                    stack.remove(old)
                there = ET.SubElement(stack, f"{{{_CFN}}}Outputs")
                for output in outputs[name]:
                    member = ET.SubElement(there, f"{{{_CFN}}}member")
                    for key, value in output.items():
                        ET.SubElement(member, f"{{{_CFN}}}{key}").text = value
        return ET.tostring(root)


def _simulated(body: bytes) -> bytes:
    names = [values[0] for name, values in parse_qs(body.decode()).items() if name.startswith("ActionNames.member.")]
    told = simulated({"ActionNames": names})["EvaluationResults"]
    members = "".join("<member>" + "".join(f"<{key}>{text}</{key}>" for key, text in one.items()) + "</member>" for one in told)
    results = f"<EvaluationResults>{members}</EvaluationResults><IsTruncated>false</IsTruncated>"
    whole = f"<SimulatePrincipalPolicyResult>{results}</SimulatePrincipalPolicyResult>"
    return f'<SimulatePrincipalPolicyResponse xmlns="{_IAM}">{whole}</SimulatePrincipalPolicyResponse>'.encode()


def _operation(headers: Mapping[str, str], body: bytes) -> str:
    """In boto3's spelling; empty for a service whose path says it."""
    target = headers.get("x-amz-target", "").rpartition(".")[2]
    if not target and headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        target = _said(body).get("Action", "")
    return xform_name(target) if target else ""


def _said(body: bytes) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(body.decode()).items()}


def _refused(code: str, message: str) -> tuple[int, dict[str, str], bytes]:
    return 400, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps({"__type": code, "message": message}).encode()


def _seconds(value: Any) -> float:
    assert isinstance(value, datetime), value
    return value.timestamp()


@contextmanager
def gateway(account: Account) -> Iterator[tuple[Gateway, str]]:
    """What it hears, and its address."""
    found = Gateway(account)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, told, content = found.answer(self.command, self.path, headers, body)
            self.send_response(status)
            for name, text in told.items():
                if name.lower() not in _OF_ITSELF and name.lower() not in ("date", "server"):
                    self.send_header(name, text)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def do_GET(self) -> None:
            self._any()

        def do_POST(self) -> None:
            self._any()

        def do_PUT(self) -> None:
            self._any()

        def do_HEAD(self) -> None:
            self._any()

        def do_DELETE(self) -> None:
            self._any()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield found, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
