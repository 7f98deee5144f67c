// Checks the generated types. The compiler reports an error if they do not have these properties; the code never runs.

import createClient from "openapi-fetch";

import type { components, paths } from "./keyhold.d.ts";

type Schemas = components["schemas"];

const keyhold = createClient<paths, "application/json">();

export async function codes() {
  const { error } = await keyhold.GET("/api/data/{key}", { params: { path: { key: "a" } } });
  if (!error) return;
  switch (error.code) {
    case "INVALID_KEY":
    case "INVALID_REQUEST":
      return error.errors.map((fault) => fault.field);
    case "INVALID_TOKEN":
    case "KEY_NOT_FOUND":
    case "PRECONDITION_FAILED":
    case "INTERNAL_SERVER_ERROR":
    case "SERVICE_UNAVAILABLE":
      return error.request_id;
    // @ts-expect-error: this route does not return this code
    case "KEY_EXISTS":
    default:
      return error satisfies never;
  }
}

export function result(result: Schemas["BatchResult"]) {
  return "deleted" in result ? result.deleted satisfies true : result.version;
}

export function operation(operation: Schemas["Operation"]) {
  // @ts-expect-error: get and delete operations have no value
  if (operation.op === "get" || operation.op === "delete") return operation.value;
  return operation.value;
}

export const requests = [
  { op: "get", key: "a" },
  { op: "put", key: "b", value: null, upsert: true },
  { op: "put", key: "b", value: [1] },
  // @ts-expect-error: the value is missing
  { op: "create", key: "c" },
] satisfies Schemas["Operation"][];

// @ts-expect-error: at least one member is required
export const emptyChange: Schemas["AccountChange"] = {};

// @ts-expect-error: every member of a registration is required
export const incompleteRegistration: Schemas["Registration"] = { username: "ada", password: "correct horse battery" };
