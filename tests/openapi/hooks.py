"""What schemathesis has to know of this service beside its OpenAPI document."""

import itertools
import os
import re

import requests
import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

API = os.environ["API"]
PASSWORD = "correct horse battery"
NUMBERS = itertools.count()


def sign_up():
    """The access token of a new user."""
    name = f"user-{next(NUMBERS)}"
    account = {"username": name, "email": f"{name}@example.com", "full_name": "Ada Lovelace", "age": 36, "gender": "female"}
    requests.post(f"{API}/api/register", json={**account, "password": PASSWORD}).raise_for_status()
    answer = requests.post(f"{API}/api/token", json={"username": name, "password": PASSWORD})
    answer.raise_for_status()
    return answer.json()["data"]["access_token"]


@schemathesis.auth(refresh_interval=None)
class SignedIn:
    """One user for all requests, but a new one for those that may end a session: later ones would be refused."""

    token = None

    def get(self, case, _):
        ends_sessions = case.operation.method in ("delete", "put") and "/data/" not in case.operation.path
        if ends_sessions:
            return sign_up()
        SignedIn.token = SignedIn.token or sign_up()
        return SignedIn.token

    def set(self, case, token, _):
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}


# What a request may be refused for though it fits the document, since no schema can say it: a fault's field and code.
UNSAYABLE = {
    # Not on the list of common passwords, and not the name of its owner.
    ("password", "INVALID_PASSWORD"),
    ("new_password", "INVALID_PASSWORD"),
    # Only one that a page before has handed out.
    ("cursor", "INVALID_REQUEST"),
    # A batch does one thing with a key.
    ("operations[].key", "INVALID_REQUEST"),
}
# Not together with If-Match.
UNSAYABLE_WITH_IF_MATCH = {("if-none-match", "INVALID_REQUEST")}


@schemathesis.check
def accepted(ctx, response, case):
    """Valid data is accepted, or refused for the state of things or for what no schema can say."""
    if response.status_code == 412:
        return
    if response.status_code == 400:
        errors = response.json().get("errors", [])
        faults = {(re.sub(r"\[\d+\]", "[]", fault["field"]), fault["code"]) for fault in errors}
        unsayable = UNSAYABLE | (UNSAYABLE_WITH_IF_MATCH if "If-Match" in case.headers else set())
        if faults and faults <= unsayable:
            return
    positive_data_acceptance(ctx, response, case)
