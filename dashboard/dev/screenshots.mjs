// Takes a picture of each view, light and dark, and at the width of a phone: npm run shots -- FOLDER [VIEW…]
// Anything that the console says, and any request to another host, ends it as a failure.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { browse, serve } from "./browser.mjs";

const [folder = "/tmp/buraq-shots", ...only] = process.argv.slice(2);
const DESKTOP = { width: 1440, height: 900 };
const PHONE = { width: 390, height: 844 };
mkdirSync(folder, { recursive: true });

const api = await serve();
const { context, end } = await browse();
const page = await context.newPage();
const complaints = [];
page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
page.on("pageerror", (error) => complaints.push(error.message));
page.on("request", (request) => {
  if (!request.url().startsWith(new URL(api.url).origin) && !request.url().startsWith("data:"))
    complaints.push(`asked ${request.url()}`);
});

const get = async (path) => (await fetch(new URL(path, api.url))).json();
const wait = (ms) => page.waitForTimeout(ms);

async function go(hash) {
  await page.goto(`${api.url}#/${hash}`);
  await page.waitForLoadState("load");
}

const VIEWS = {
  overview: async () => {
    await go("");
    await page.waitForSelector(".uplot canvas");
    await page.waitForSelector(".react-flow__node");
    await wait(3500);
  },
  queues: () => go("queues"),
  queue: async () => {
    await go("queues/default");
    await page.waitForSelector(".uplot canvas");
  },
  "tasks-running": () => go("tasks?state=running"),
  "tasks-failed": () => go("tasks?state=failed"),
  task: async () => {
    const { items } = await get("api/v1/tasks?state=failed&type=charge_payment");
    await go(`tasks/${items[0].id}`);
  },
  "dead-letters": () => go("dead-letters"),
  "dead-group": async () => {
    const { groups } = await get("api/v1/dead-letters/groups");
    await go(`dead-letters?group=${groups[1].group}`);
    await page.getByRole("button", { name: /Retry all/ }).click();
  },
  "dead-letter": async () => {
    const { items } = await get("api/v1/dead-letters?type=charge_payment");
    await go(`dead-letters/${encodeURIComponent(items[0].id)}`);
  },
  workers: () => go("workers"),
  worker: () => go("workers/web-7f9c-3b1d"),
  live: async () => {
    await go("live");
    await wait(2500);
  },
  system: () => go("system"),
  settings: () => go("system?tab=settings"),
};

for (const [name, open] of Object.entries(VIEWS)) {
  if (only.length && !only.includes(name)) continue;
  for (const [kind, size, scheme] of [
    ["light", DESKTOP, "light"],
    ["dark", DESKTOP, "dark"],
    ["phone", PHONE, "dark"],
  ]) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme: scheme });
    await page.goto("about:blank");
    await open();
    await wait(900);
    await page.screenshot({
      path: join(folder, `${name}-${kind}.png`),
      fullPage: name === "overview" && kind !== "light",
    });
  }
}

await end();
api.end();
if (complaints.length) {
  console.error([...new Set(complaints)].join("\n"));
  process.exit(1);
}
