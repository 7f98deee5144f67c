"""The functions as their code declares them: route, database role, and use of keys."""

import json
import os
import subprocess
from dataclasses import dataclass

from stack import ROOT

COMMAND = ["cargo", "run", "--quiet", "--package", "tests", "--example", "functions"]


@dataclass(frozen=True)
class Function:
    """A function. `route` and `role` are None if it has none. `keys` is none, verify, digest, or sign."""

    name: str
    route: str | None
    role: str | None
    keys: str

    @property
    def source(self):
        return f"functions/{self.name}/src/lib.rs"


def _document():
    """Reads the file that FUNCTIONS_JSON names, or else the output of COMMAND."""
    if path := os.environ.get("FUNCTIONS_JSON"):
        with open(path) as file:
            return json.load(file)
    finished = subprocess.run(COMMAND, cwd=ROOT, capture_output=True, text=True)
    assert finished.returncode == 0, f"`{' '.join(COMMAND)}` failed:\n{finished.stderr}"
    return json.loads(finished.stdout)


FUNCTIONS = {function["name"]: Function(**function) for function in _document()["functions"]}
