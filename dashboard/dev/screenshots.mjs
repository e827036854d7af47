// Takes a picture of each view, light and dark, and at the width of a phone: npm run shots -- FOLDER [VIEW…]. A VIEW of `state` gives outages, roles, storms and dialogs.
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
page.setDefaultTimeout(45_000);
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

// States that are no view: each sets the fake, and `wait` is until the page has noticed.
const STATES = {
  "state-lost": async () => {
    await go("");
    await wait(2500);
    await api.set({ server: "gone" });
    await wait(4500);
  },
  "state-given-up": async () => {
    await go("tasks");
    await wait(1500);
    await api.set({ server: "gone" });
    await page.getByText("Try again").waitFor({ timeout: 60_000 });
  },
  "state-unreachable": async () => {
    await api.set({ server: "gone" });
    await go("");
    await wait(4000);
  },
  "state-away": async () => {
    await go("");
    await wait(1000);
    await api.set({ server: "away" });
    await page.getByText("Redis is away").first().waitFor();
  },
  "state-signed-out": async () => {
    await api.set({ access: "read-key" });
    await go("");
    await page.getByRole("heading", { name: "Sign in" }).waitFor();
  },
  "state-read-only": async () => {
    await api.set({ access: "read-only" });
    await go("dead-letters");
  },
  "state-key": async () => {
    await api.set({ access: "key" });
    await go("dead-letters");
    await page.getByRole("button", { name: "Sign in" }).click();
  },
  "state-no-stream": async () => {
    await api.set({ noStream: true });
    await go("live");
    await wait(1500);
  },
  "state-storm": async () => {
    await api.set({ storm: 60_000 });
    await go("");
    await wait(9000);
  },
  "state-storm-live": async () => {
    await api.set({ storm: 60_000 });
    await go("live");
    await wait(3000);
  },
  "state-sampled": async () => {
    await api.set({ sampled: true });
    await go("tasks?state=completed");
  },
  "state-not-found": () => go("tasks/nobody-knows-me"),
  "state-enqueue": async () => {
    await go("tasks");
    await page.getByRole("button", { name: "Enqueue" }).click();
    await page.getByLabel("Payload").fill('{"user_id": 1, ');
  },
  "state-edit": async () => {
    const { items } = await get("api/v1/dead-letters?type=charge_payment");
    await go(`dead-letters/${encodeURIComponent(items[0].id)}`);
    await page.getByRole("button", { name: "Edit and retry" }).click();
  },
  "state-keys": async () => {
    await go("");
    await wait(1500);
    await page.keyboard.press("?");
  },
  "state-operation": async () => {
    await go("dead-letters");
    await page
      .getByRole("button", { name: /^Retry all/ })
      .first()
      .click();
    await page.getByRole("button", { name: /^Retry \d/ }).click();
    await wait(600);
  },
  "state-killed": async () => {
    await api.set({ kill: "web-7f9c-a04e" });
    await go("");
    await wait(4000);
    await page.evaluate(() => scrollTo(0, 9999));
  },
  "state-paused": async () => {
    await fetch(new URL("api/v1/queues/bulk/pause", api.url), { method: "POST" });
    await go("queues/bulk");
    await wait(1500);
  },
  "state-audit": () => go("system?tab=audit"),
};
const CALM = { server: "ok", access: "open", delay: 0, noStream: false, storm: 0, sampled: false };
const expected = /net::ERR_|503|401|404|Failed to load resource/; // what a state that was asked for has the console say

for (const [name, open] of Object.entries({ ...VIEWS, ...(only.length ? STATES : {}) })) {
  if (only.length && !only.some((one) => name.startsWith(one))) continue;
  for (const [kind, size, scheme] of [
    ["light", DESKTOP, "light"],
    ["dark", DESKTOP, "dark"],
    ["phone", PHONE, "dark"],
  ].slice(name.startsWith("state-") ? 1 : 0)) {
    await page.setViewportSize(size);
    await page.emulateMedia({ colorScheme: scheme });
    console.info(name, kind);
    await page.goto("about:blank");
    await api.set(CALM);
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
const unexpected = [...new Set(complaints)].filter((text) => !only.length || !expected.test(text));
if (unexpected.length) {
  console.error(unexpected.join("\n"));
  process.exit(1);
}
