// Compares the statuses in httpYac's report with those in the titles of keyhold.http. Usage: http-file.ts REPORT

import { readFileSync } from "node:fs";

const FILE = "keyhold.http";

type Sent = {
  title: string;
  response?: { statusCode: number; body?: string };
  testResults?: { message: string }[];
};

const { requests }: { requests: Sent[] } = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"));
const titles = readFileSync(FILE, "utf8").match(/^###.*$/gm) ?? [];
let failed = 0;
for (const [number, title] of titles.entries()) {
  const { title: sentTitle, response, testResults } = requests[number] ?? {};
  if (title === `### ${sentTitle}` && title.endsWith(`: ${response?.statusCode}`)) continue;
  failed += 1;
  const actual = response ? `${response.statusCode} ${response.body ?? ""}` : (testResults?.[0]?.message ?? "no response");
  console.error(`${title}\n    ${actual}`);
}
console.log(`${FILE}: ${titles.length - failed} of ${titles.length} requests returned the expected status`);
if (failed > 0 || requests.length !== titles.length) process.exitCode = 1;
