// Weighs the build: what the browser fetches before the overview shows figures, and each part that comes later.
// Fails when the first load is over the budget.

import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const HOME = new URL("../../buraq/web/static/", import.meta.url);
const FIRST_LOAD_KB = 150;
const ALL_KB = 400;

const page = readFileSync(new URL("index.html", HOME), "utf8");
const weigh = (file) => gzipSync(readFileSync(new URL(file, HOME)), { level: 9 }).length / 1000;
const first = ["index.html", ...[...page.matchAll(/(?:src|href)="\.\/(assets\/[^"]+)"/g)].map((match) => match[1])];
const fonts = readdirSync(new URL("assets/", HOME)).filter((file) => file.endsWith(".woff2"));
const later = readdirSync(new URL("assets/", HOME))
  .map((file) => `assets/${file}`)
  .filter((file) => !first.includes(file) && !file.endsWith(".woff2"));

const sum = (files) => files.reduce((all, file) => all + weigh(file), 0);
const fontKb = fonts.reduce((all, file) => all + readFileSync(new URL(`assets/${file}`, HOME)).length / 1000, 0);
const firstKb = sum(first);
const allKb = firstKb + sum(later);
for (const file of later.sort((a, b) => weigh(b) - weigh(a)).slice(0, 6))
  console.info(`  ${weigh(file).toFixed(1)} kB  ${file}`);
console.info(
  `First load ${firstKb.toFixed(1)} kB of ${FIRST_LOAD_KB}, all ${allKb.toFixed(1)} kB of ${ALL_KB} (gzip), fonts ${fontKb.toFixed(1)} kB`,
);
if (firstKb > FIRST_LOAD_KB || allKb > ALL_KB) {
  console.error("The dashboard is over its budget.");
  process.exit(1);
}
