// Sends six requests to the service at $API with a typed client. A failed assertion ends the program.

import createClient from "openapi-fetch";
import type { paths } from "./keyhold.d.ts";

const keyhold = createClient<paths, "application/json">({ baseUrl: process.env.API ?? "http://localhost:9000" });
const ada = { username: `ada-${Date.now()}`, password: "correct horse battery" };
const profile = { email: `${ada.username}@example.com`, full_name: "Ada Lovelace", age: 36, gender: "female" };

const registered = await keyhold.POST("/api/register", { body: { ...ada, ...profile } });
const signedIn = await keyhold.POST("/api/token", { body: ada });
if (!signedIn.data) throw new Error(signedIn.error.message);
const authorization = `Bearer ${signedIn.data.data.access_token}`;
keyhold.use({ onRequest: ({ request }) => request.headers.set("Authorization", authorization) });

const path = { key: "settings/theme" };
const created = await keyhold.POST("/api/data", { body: { ...path, value: { dark: true } } });
const read = await keyhold.GET("/api/data/{key}", { params: { path } });
const header = { "If-Match": read.response.headers.get("ETag") ?? "" };
const updated = await keyhold.PUT("/api/data/{key}", { params: { path, header }, body: { value: { dark: false } } });
const late = await keyhold.PUT("/api/data/{key}", { params: { path, header }, body: { value: { dark: true } } });
if (late.error?.code === "PRECONDITION_FAILED") console.log("Changed by another request:", late.error.message);
const deleted = await keyhold.DELETE("/api/data/{key}", { params: { path } });

// README.md shows the program up to here. The rest checks the responses.
import assert from "node:assert/strict";

assert.equal(registered.response.status, 201);
const { user_id, email_verified, created_at, ...rest } = registered.data!.data;
assert.deepEqual(rest, { username: ada.username, ...profile });
assert.match(user_id, /^[0-9a-f-]{36}$/);
assert.equal(email_verified, false);
assert.ok(Math.abs(Date.parse(created_at) - Date.now()) < 60_000, created_at);
assert.equal(signedIn.data.data.token_type, "Bearer");
assert.equal(created.response.status, 201);
assert.deepEqual(created.data!.data.value, { dark: true });
assert.deepEqual(read.data!.data, created.data!.data);
assert.deepEqual(updated.data!.data.value, { dark: false });
assert.ok(updated.data!.data.version > created.data!.data.version);
assert.equal(late.response.status, 412);
assert.equal(late.error?.code, "PRECONDITION_FAILED");
assert.equal(deleted.data?.status, "success");

// `errors` lists the faults of a request. The types declare it only for the codes that have it.
const rejected = await keyhold.POST("/api/data", { body: { key: "a//b", value: null } });
switch (rejected.error?.code) {
  case "INVALID_KEY":
    assert.equal(rejected.error.errors[0]?.field, "key");
    break;
  default:
    assert.fail(`an invalid key returned ${rejected.response.status} ${rejected.error?.code}`);
}

const gone = await keyhold.DELETE("/api/account", { body: { password: ada.password } });
assert.equal(gone.response.status, 200);
console.log(`All requests of ${ada.username} succeeded`);
