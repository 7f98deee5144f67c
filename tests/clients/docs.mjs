// Tests the page at /api/docs in a browser, on a desktop and a phone screen: registers, signs in, stores and reads a value.
//
// API is the address of the service. CHROMIUM is the path of another browser, if the one from npm does not run on this
// machine. SCREENSHOTS is the folder for screenshots; without it none are taken.

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

/** Opens an operation on the page. */
async function open(page, id) {
  const operation = page.locator(`.opblock[id$="-${id}"]`);
  await operation.locator(".opblock-summary").click();
  await operation.locator(".execute").waitFor();
  return operation;
}

/** Sends the request of an operation. Returns the status and body of the response as shown on the page. */
async function execute(operation) {
  const response = operation.locator(".live-responses-table tbody");
  // Clears the previous response, which is shown until the next one arrives.
  if (await response.isVisible()) await operation.locator(".btn-clear").click();
  await response.waitFor({ state: "hidden" });
  await operation.locator(".execute").click();
  const status = await response.locator(".response-col_status").first().innerText();
  const body = await response.locator(".response-col_description pre").first().innerText();
  return { status: Number.parseInt(status, 10), body: JSON.parse(body) };
}

/** Fills in the body of an operation and sends the request. */
async function send(page, id, body) {
  const operation = await open(page, id);
  await operation.locator("textarea.body-param__text").fill(JSON.stringify(body));
  return execute(operation);
}

async function visit(browser, screen) {
  const context = await browser.newContext(SCREENS[screen]);
  const page = await context.newPage();
  const problems = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${API}/`) && !request.url().startsWith("data:")) problems.push(request.url());
  });
  const shoot = (name) => SCREENSHOTS && page.screenshot({ path: path.join(SCREENSHOTS, `${screen}-${name}.png`) });

  await page.goto(`${API}/api/docs`);
  await page.locator(".opblock").first().waitFor();
  await shoot("start");
  const document = await (await fetch(`${API}/api/openapi.json`)).json();
  const operations = Object.values(document.paths).flatMap((item) => Object.values(item)).filter((it) => it.operationId);
  assert.equal(await page.locator(".opblock").count(), operations.length, "the page shows every operation");

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
  // Clears the example entity tag, which could match and cause a 304.
  await read.locator('tr[data-param-name="If-None-Match"] input').fill("");
  const response = await execute(read);
  assert.deepEqual([response.status, response.body.data.key, response.body.data.version], [200, key, 1]);
  await read.locator(".live-responses-table").scrollIntoViewIfNeeded();
  await shoot("read");
  assert.deepEqual((await execute(list)).body.data.items.map((item) => item.key), [key]);

  // Ends the session of the token that the page sends. The page sends the new one from then on.
  const changed = await send(page, "changePassword", { current_password: PASSWORD, new_password: `${PASSWORD} staple` });
  assert.equal(changed.status, 200);
  assert.equal((await execute(list)).status, 200);

  const [width, room] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth]);
  assert.ok(width <= room, `the page is ${width} px wide on a screen of ${room} px`);

  // Signs in with an existing token in the authorization dialog.
  await page.locator(".btn.authorize").click();
  const form = (scheme) => page.locator(".modal-ux form", { hasText: `${scheme} (http` });
  await form("bearer").locator(".btn.modal-btn", { hasText: "Logout" }).click();
  for (const [scheme, token] of [["bearer", changed.body.data.access_token], ["operator", process.env.ADMIN_TOKEN]]) {
    await form(scheme).locator("input").fill(token);
    await form(scheme).locator(".btn.modal-btn.authorize").click();
  }
  await page.locator(".modal-ux .btn-done").first().click();
  assert.equal((await execute(list)).status, 200);

  const reset = await send(page, "requestPasswordReset", { email: account.email });
  assert.equal(reset.status, 202);
  const users = await open(page, "listUsers");
  await users.locator('tr[data-param-name="username"] input').fill(username);
  await users.locator('tr[data-param-name="email"] input').fill("");
  const found = await execute(users);
  assert.deepEqual([found.status, found.body.data.items.map((item) => item.email)], [200, [account.email]]);

  await page.reload();
  await page.locator(".opblock").first().waitFor();
  assert.equal(await page.locator("#session.signed-in").count(), 0, "a reload signs out");
  // The browser logs every error status. The 401 above is expected.
  const expected = (text) => /Failed to load resource: the server responded with a status of 401/.test(text);
  assert.deepEqual(problems.filter((text) => !expected(text)), []);
  await context.close();
}

const executablePath = CHROMIUM ?? (await packaged.executablePath());
// Root cannot use the sandbox. The arguments that the package suggests would disable features under test.
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  for (const screen of Object.keys(SCREENS)) {
    await visit(browser, screen);
    console.log(`/api/docs works on a ${screen} screen`);
  }
} finally {
  await browser.close();
}
