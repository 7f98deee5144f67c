// The page at /api/docs in a browser: a person registers, signs in, stores and reads on it, on a desktop and on a phone.
//
// With the service's address in API, and a browser of one's own, if the one from npm does not run here, in CHROMIUM.
// Screenshots go to the folder that SCREENSHOTS names.

import assert from "node:assert/strict";
import path from "node:path";
import packaged from "@sparticuz/chromium";
import { chromium } from "playwright-core";

const { API, CHROMIUM, SCREENSHOTS } = process.env;
const PASSWORD = "correct horse battery";
const SCREENS = {
  desktop: { viewport: { width: 1280, height: 900 } },
  phone: { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true },
};

/** An operation on the page, opened. */
async function open(page, id) {
  const operation = page.locator(`.opblock[id$="-${id}"]`);
  await operation.locator(".opblock-summary").click();
  await operation.locator(".execute").waitFor();
  return operation;
}

/** Sends an operation's request: the status and the body of the answer, as the page shows them. */
async function execute(operation) {
  const answer = operation.locator(".live-responses-table tbody");
  // The last answer would stand there until the next one has come.
  if (await answer.isVisible()) await operation.locator(".btn-clear").click();
  await answer.waitFor({ state: "hidden" });
  await operation.locator(".execute").click();
  const status = await answer.locator(".response-col_status").first().innerText();
  const body = await answer.locator(".response-col_description pre").first().innerText();
  return { status: Number.parseInt(status, 10), body: JSON.parse(body) };
}

/** Fills in a body and sends it. */
async function send(page, id, body) {
  const operation = await open(page, id);
  await operation.locator("textarea.body-param__text").fill(JSON.stringify(body));
  return execute(operation);
}

async function visit(browser, screen) {
  const context = await browser.newContext(SCREENS[screen]);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${API}/`) && !request.url().startsWith("data:")) complaints.push(request.url());
  });
  const shoot = (name) => SCREENSHOTS && page.screenshot({ path: path.join(SCREENSHOTS, `${screen}-${name}.png`) });

  await page.goto(`${API}/api/docs`);
  await page.locator(".opblock").first().waitFor();
  await shoot("start");
  const document = await (await fetch(`${API}/api/openapi.json`)).json();
  const operations = Object.values(document.paths).flatMap((item) => Object.values(item)).filter((it) => it.operationId);
  assert.equal(await page.locator(".opblock").count(), operations.length, "every operation is on the page");

  const username = `reader-${screen}-${Date.now()}`;
  const account = { username, email: `${username}@example.com`, password: PASSWORD, full_name: "Ada", age: 36, gender: "female" };
  assert.equal((await send(page, "register", account)).status, 201);
  const banner = page.locator("#session");
  assert.match(await banner.innerText(), /Register, then sign in/);

  const list = await open(page, "listData");
  assert.equal((await execute(list)).body.code, "INVALID_TOKEN");

  const signedIn = await send(page, "signIn", { username, password: PASSWORD });
  assert.equal(signedIn.status, 200);
  await page.locator("#session.signed-in").waitFor();
  await shoot("signed-in");

  const key = "settings/dark mode";
  const stored = await send(page, "createData", { key, value: { dark: true } });
  assert.deepEqual([stored.status, stored.body.data.value], [201, { dark: true }]);
  const read = await open(page, "getData");
  await read.locator('tr[data-param-name="key"] input').fill(key);
  // An example stands there already, and the answer would be 304 if it were the value's.
  await read.locator('tr[data-param-name="If-None-Match"] input').fill("");
  const answer = await execute(read);
  assert.deepEqual([answer.status, answer.body.data.key, answer.body.data.version], [200, key, 1]);
  await read.locator(".live-responses-table").scrollIntoViewIfNeeded();
  await shoot("read");
  assert.deepEqual((await execute(list)).body.data.items.map((item) => item.key), [key]);

  const [width, room] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(width <= room, `the page is ${width} wide on a screen of ${room}`);

  // The other way to sign in: a token from elsewhere, in the dialog.
  await page.locator(".btn.authorize").click();
  await page.locator(".modal-ux .btn.modal-btn", { hasText: "Logout" }).click();
  await page.locator(".modal-ux input").fill(signedIn.body.data.access_token);
  await page.locator(".modal-ux .btn.modal-btn.authorize").click();
  await page.locator(".modal-ux .btn-done").click();
  assert.equal((await execute(list)).status, 200);

  await page.reload();
  await page.locator(".opblock").first().waitFor();
  assert.equal(await page.locator("#session.signed-in").count(), 0, "a token does not outlive the page");
  // The browser itself notes every answer that is no success.
  const refused = (text) => /Failed to load resource: the server responded with a status of 401/.test(text);
  assert.deepEqual(complaints.filter((text) => !refused(text)), []);
  await context.close();
}

const executablePath = CHROMIUM ?? (await packaged.executablePath());
// Without its sandbox, which root may not use. The package's own arguments would turn off what this is a test of.
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  for (const screen of Object.keys(SCREENS)) {
    await visit(browser, screen);
    console.log(`the page works on a ${screen}`);
  }
} finally {
  await browser.close();
}
