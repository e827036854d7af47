// Asks axe about each view, light and dark, on a desktop and a phone: npm run axe

import { createRequire } from "node:module";
import { browse, serve } from "./browser.mjs";

const AXE = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const api = await serve({ port: 4174 });
const { context, end } = await browse({ bypassCSP: true }); // axe is added to the page as a script
const page = await context.newPage();

const get = async (path) => (await fetch(new URL(path, api.url))).json();
const [task] = (await get("api/v1/tasks?state=running")).items;
const [letter] = (await get("api/v1/dead-letters")).items;
const VIEWS = [
  "",
  "queues",
  "queues/default",
  "tasks?state=running",
  "tasks?state=failed",
  `tasks/${task.id}`,
  "dead-letters",
  `dead-letters/${encodeURIComponent(letter.id)}`,
  "workers",
  "workers/web-7f9c-3b1d",
  "live",
  "system",
  "system?tab=settings",
  "system?tab=audit",
  "nowhere",
];

const found = new Map();
for (const [width, scheme] of [
  [1440, "light"],
  [1440, "dark"],
  [390, "dark"],
]) {
  await page.setViewportSize({ width, height: 900 });
  // What fades in has no contrast yet.
  await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
  for (const view of VIEWS) {
    await page.goto("about:blank");
    await page.goto(`${api.url}#/${view}`);
    await page.waitForTimeout(1500);
    await page.addScriptTag({ path: AXE });
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    for (const { id, help, nodes } of violations) {
      for (const { html, any, all } of nodes) {
        const said = `${id}: ${help}\n    ${html.slice(0, 160)}\n    ${any[0]?.message ?? all[0]?.message ?? ""}`;
        found.set(said, [...(found.get(said) ?? []), `${width} ${scheme} #/${view}`]);
      }
    }
  }
}

await end();
api.end();
for (const [said, where] of found) console.info(`${said}\n    in ${where.slice(0, 3).join(", ")}`);
if (!found.size) console.info(`axe has no complaint about ${VIEWS.length} views`);
process.exit(found.size ? 1 : 0);
