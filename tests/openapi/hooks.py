"""Extends schemathesis by sign-in and by the rules that an OpenAPI document cannot express."""

import itertools
import os
import re

import requests
import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

API = os.environ["API"]
ADMIN_TOKEN = os.environ["ADMIN_TOKEN"]
PASSWORD = "correct horse battery"
NUMBERS = itertools.count()


def register_and_sign_in():
    """Returns the access token of a new user."""
    name = f"user-{next(NUMBERS)}"
    account = {"username": name, "email": f"{name}@example.com", "full_name": "Ada Lovelace", "age": 36, "gender": "female"}
    requests.post(f"{API}/api/register", json={**account, "password": PASSWORD}).raise_for_status()
    response = requests.post(f"{API}/api/token", json={"username": name, "password": PASSWORD})
    response.raise_for_status()
    return response.json()["data"]["access_token"]


@schemathesis.auth(refresh_interval=None)
class SignedIn:
    """Uses one user for all requests, but a new one for each request that can end the session."""

    token = None

    def get(self, case, _):
        if "/admin/" in case.operation.path:
            return ADMIN_TOKEN
        ends_sessions = case.operation.method in ("delete", "put") and "/data/" not in case.operation.path
        if ends_sessions:
            return register_and_sign_in()
        SignedIn.token = SignedIn.token or register_and_sign_in()
        return SignedIn.token

    def set(self, case, token, _):
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {token}"}


# Field and code of faults that a request can have although it matches the document. No schema can express these rules.
NOT_IN_SCHEMA = {
    # Common passwords and the owner's username or email address are not allowed.
    ("password", "INVALID_PASSWORD"),
    ("new_password", "INVALID_PASSWORD"),
    # Invisible characters are not allowed.
    ("full_name", "INVALID_REQUEST"),
    ("gender", "INVALID_REQUEST"),
    # Only a cursor from an earlier page is valid.
    ("cursor", "INVALID_REQUEST"),
    # Each key must occur only once in a batch.
    ("operations[].key", "INVALID_REQUEST"),
}
# A search for an account is by username or by email address.
NOT_IN_SCHEMA_OF_SEARCH = {("email", "INVALID_REQUEST")}
# If-None-Match cannot be combined with If-Match.
NOT_IN_SCHEMA_WITH_IF_MATCH = {("if-none-match", "INVALID_REQUEST")}


@schemathesis.check
def accepts_valid_data(ctx, response, case):
    """Valid data is accepted, unless it conflicts with stored data or breaks a rule that no schema can express."""
    if response.status_code == 412:
        return
    if response.status_code == 400:
        errors = response.json().get("errors", [])
        faults = {(re.sub(r"\[\d+\]", "[]", fault["field"]), fault["code"]) for fault in errors}
        expected = NOT_IN_SCHEMA | (NOT_IN_SCHEMA_WITH_IF_MATCH if "If-Match" in case.headers else set())
        if case.operation.path == "/api/admin/users":
            expected = NOT_IN_SCHEMA | NOT_IN_SCHEMA_OF_SEARCH
        if faults and faults <= expected:
            return
    positive_data_acceptance(ctx, response, case)
