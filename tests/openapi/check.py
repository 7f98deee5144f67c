"""Checks the responses recorded by the tests against the OpenAPI document, and the document's own examples and links.

Usage: check.py RESPONSES_FILE, after `RESPONSES_FILE=… cargo test`. Each line of the file is one response as JSON.
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


def resolve(document, node):
    """Follows `$ref` to the node that it names. References within that node stay relative to the document."""
    while "$ref" in node:
        path = node["$ref"].removeprefix("#/")
        node = document
        for name in path.split("/"):
            node = node[name.replace("~1", "/").replace("~0", "~")]
    return node


def response_problems(document, registry, response):
    method, path = response["route"].split(" ")
    described = document["paths"][path][method.lower()]["responses"].get(str(response["status"]))
    if described is None:
        return [f"status {response['status']} is not described"]
    described = resolve(document, described)
    problems = [
        f"the header {name} is missing"
        for name, header in described.get("headers", {}).items()
        if header.get("required", True) and name.lower() not in response["headers"]
    ]
    if not response["body"]:
        return problems
    media_type = response["content_type"].split(";")[0]
    content = described.get("content", {}).get(media_type)
    if content is None:
        return [*problems, f"media type {media_type} is not described"]
    body = response["body"] if media_type.startswith("text/") else json.loads(response["body"])
    return [*problems, *schema_violations(content["schema"], registry, body)]


def schema_violations(schema, registry, value):
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": BASE + "/schema",
        **with_absolute_references(schema),
    }
    validator = jsonschema.Draft202012Validator(schema, registry=registry, format_checker=jsonschema.FormatChecker())
    return [error.message for error in validator.iter_errors(value)]


def with_absolute_references(node):
    """Copies a schema. References into the document become absolute, so that they resolve from any place."""
    if isinstance(node, dict):
        return {
            key: BASE + value if key == "$ref" and value.startswith("#") else with_absolute_references(value)
            for key, value in node.items()
        }
    return [with_absolute_references(item) for item in node] if isinstance(node, list) else node


def operations(document):
    """Yields each route with its operation, whose parameters include those of the path."""
    for path, item in document["paths"].items():
        for method in item.keys() - {"parameters"}:
            operation = item[method]
            parameters = [*item.get("parameters", []), *operation.get("parameters", [])]
            yield f"{method.upper()} {path}", {**operation, "parameters": [resolve(document, p) for p in parameters]}


def example_problems(document, registry):
    """Every JSON request and JSON success response has an example that is valid for its schema."""
    for route, operation in operations(document):
        messages = {"request": operation.get("requestBody", {})}
        messages |= {status: response for status, response in operation["responses"].items() if status < "300"}
        for name, message in messages.items():
            content = message.get("content", {}).get("application/json")
            if content is None:
                continue
            if "example" not in content:
                yield f"{route} {name}: no example. Add one to functions/openapi-get/openapi.json"
            else:
                for problem in schema_violations(content["schema"], registry, content["example"]):
                    yield f"{route} {name}: invalid example: {problem}"


def link_problems(document):
    """Every link names an operation and passes only parameters and a body that the operation takes."""
    by_id = {operation["operationId"]: operation for _, operation in operations(document)}
    if len(by_id) < len(list(operations(document))):
        yield "two operations have the same operationId"
    for route, operation in operations(document):
        for status, response in operation["responses"].items():
            for name, link in resolve(document, response).get("links", {}).items():
                link = resolve(document, link)
                target = by_id.get(link["operationId"])
                if target is None:
                    yield f"{route} {status}: the link {name} names an unknown operation {link['operationId']}"
                    continue
                if unknown := link.get("parameters", {}).keys() - {p["name"] for p in target["parameters"]}:
                    yield f"{route} {status}: the link {name} passes unknown parameters: {', '.join(sorted(unknown))}"
                if "requestBody" in link and "requestBody" not in target:
                    yield f"{route} {status}: the link {name} passes a body to an operation that takes none"


def main():
    document = json.loads(DOCUMENT.read_text())
    openapi_spec_validator.validate(document)
    resource = referencing.Resource(contents=document, specification=referencing.jsonschema.DRAFT202012)
    registry = referencing.Registry().with_resource(BASE, resource)
    # `splitlines` would also split at line separators within a body.
    lines = set(filter(None, pathlib.Path(sys.argv[1]).read_text().split("\n")))
    failures = {problem: "" for problem in [*example_problems(document, registry), *link_problems(document)]}
    kinds = set()
    for line in sorted(lines):
        response = json.loads(line)
        kinds.add((response["route"], response["status"]))
        for problem in response_problems(document, registry, response):
            failures.setdefault(f"{response['route']} {response['status']}: {problem[:300]}", response["body"][:300])
    for problem, body in failures.items():
        print(problem, *filter(None, [body]), sep="\n    ")
    untested = {route for route, _ in operations(document)} - {route for route, _ in kinds}
    if untested:
        print("Add a test that sends a request to", ", ".join(sorted(untested)))
    print(f"{len(lines)} different responses, {len(kinds)} pairs of route and status, {len(failures)} problems")
    sys.exit(bool(failures or untested))


main()
