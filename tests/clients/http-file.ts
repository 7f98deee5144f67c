// Compares what httpYac reports of keyhold.http with the statuses in the titles there: http-file.ts REPORT.

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
  const { title: sent, response, testResults } = requests[number] ?? {};
  if (title === `### ${sent}` && title.endsWith(`: ${response?.statusCode}`)) continue;
  failed += 1;
  const answer = response ? `${response.statusCode} ${response.body ?? ""}` : (testResults?.[0]?.message ?? "nothing");
  console.error(`${title}\n    ${answer}`);
}
console.log(`${FILE}: ${titles.length - failed} requests of ${titles.length} answered as expected`);
if (failed > 0 || requests.length !== titles.length) process.exitCode = 1;
