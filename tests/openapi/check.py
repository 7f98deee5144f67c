"""Holds the answers that the tests saw against the OpenAPI document, and the document's examples and links against itself.

Usage: check.py ANSWERS_FILE, after `ANSWERS_FILE=… cargo test`. Each line of it is one answer (support/answer.rs).
"""

import json
import pathlib
import sys

import jsonschema
import openapi_spec_validator
import referencing
import referencing.jsonschema

DOCUMENT = pathlib.Path(__file__).parents[2] / "functions/openapi-get/openapi.json"
BASE = "urn:openapi"


def resolved(document, node):
    """What stands behind a `$ref`, as a path into the document, so that references within it still lead somewhere."""
    while "$ref" in node:
        path = node["$ref"].removeprefix("#/")
        node = document
        for name in path.split("/"):
            node = node[name.replace("~1", "/").replace("~0", "~")]
    return node


def problems(document, registry, answer):
    method, path = answer["route"].split(" ")
    responses = document["paths"][path][method.lower()]["responses"]
    response = responses.get(str(answer["status"]))
    if response is None:
        return [f"{answer['status']} is not described"]
    response = resolved(document, response)
    wrong = [f"no header {name}" for name in response.get("headers", {}) if name.lower() not in answer["headers"]]
    if not answer["body"]:
        return wrong
    media_type = answer["content_type"].split(";")[0]
    content = response.get("content", {}).get(media_type)
    if content is None:
        return [*wrong, f"{media_type} is not described"]
    body = answer["body"] if media_type.startswith("text/") else json.loads(answer["body"])
    return [*wrong, *violations(content["schema"], registry, body)]


def violations(schema, registry, value):
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": BASE + "/schema", **absolute(schema)}
    validator = jsonschema.Draft202012Validator(schema, registry=registry, format_checker=jsonschema.FormatChecker())
    return [error.message for error in validator.iter_errors(value)]


def operations(document):
    """Each operation with its route; its parameters and those of its path are one list."""
    for path, item in document["paths"].items():
        for method in item.keys() - {"parameters"}:
            operation = item[method]
            parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
            yield f"{method.upper()} {path}", {**operation, "parameters": [resolved(document, p) for p in parameters]}


def example_problems(document, registry):
    """Every request and every success that is JSON shows an example, which its own schema allows."""
    for route, operation in operations(document):
        shown = {"request": operation.get("requestBody", {})}
        shown |= {status: answer for status, answer in operation["responses"].items() if status < "300"}
        for name, message in shown.items():
            content = message.get("content", {}).get("application/json")
            if content is None:
                continue
            if "example" not in content:
                yield f"{route} {name}: there is no example"
            else:
                for problem in violations(content["schema"], registry, content["example"]):
                    yield f"{route} {name}: the example: {problem}"


def link_problems(document):
    """A link leads to an operation, and gives it what it takes."""
    known = {operation["operationId"]: operation for _, operation in operations(document)}
    if len(known) < len(list(operations(document))):
        yield "two operations have the same operationId"
    for route, operation in operations(document):
        for status, answer in operation["responses"].items():
            for name, link in resolved(document, answer).get("links", {}).items():
                link = resolved(document, link)
                target = known.get(link["operationId"])
                if target is None:
                    yield f"{route} {status}: the link {name} leads nowhere"
                    continue
                if unknown := link.get("parameters", {}).keys() - {p["name"] for p in target["parameters"]}:
                    yield f"{route} {status}: the link {name} has no use for {', '.join(sorted(unknown))}"
                if "requestBody" in link and "requestBody" not in target:
                    yield f"{route} {status}: the link {name} has a body for what takes none"


def absolute(node):
    """The same schema with references that lead into the document from anywhere."""
    if isinstance(node, dict):
        return {k: BASE + v if k == "$ref" and v.startswith("#") else absolute(v) for k, v in node.items()}
    return [absolute(item) for item in node] if isinstance(node, list) else node


def main():
    document = json.loads(DOCUMENT.read_text())
    openapi_spec_validator.validate(document)
    resource = referencing.Resource(contents=document, specification=referencing.jsonschema.DRAFT202012)
    registry = referencing.Registry().with_resource(BASE, resource)
    # Not `splitlines`, which takes characters within a text for the end of a line.
    answers = set(filter(None, pathlib.Path(sys.argv[1]).read_text().split("\n")))
    failed, seen = {problem: "" for problem in [*example_problems(document, registry), *link_problems(document)]}, set()
    for line in sorted(answers):
        answer = json.loads(line)
        seen.add((answer["route"], answer["status"]))
        for problem in problems(document, registry, answer):
            failed.setdefault(f"{answer['route']} {answer['status']}: {problem[:300]}", answer["body"][:300])
    for problem, body in failed.items():
        print(problem, *filter(None, [body]), sep="\n    ")
    unseen = {route for route, _ in operations(document)} - {route for route, _ in seen}
    if unseen:
        print("No test sent a request to", ", ".join(sorted(unseen)))
    print(f"{len(answers)} answers, {len(seen)} kinds, {len(failed)} problems")
    sys.exit(bool(failed or unseen))


main()
