// What a storm of events does to the page: frames a second, the longest task, and the heap after each collection.
//   npm run storm -- EVENTS_A_SECOND SECONDS [unlimited]
// `unlimited` has the fake send every event, as a server would that knows no ?limit.

import { browse, serve } from "./browser.mjs";

const [events = "50000", seconds = "40", unlimited] = process.argv.slice(2);
const api = await serve({ port: 4175 });
const { context, end } = await browse();
const page = await context.newPage();
const devtools = await context.newCDPSession(page);
await devtools.send("Performance.enable");

async function heapMb() {
  await devtools.send("HeapProfiler.collectGarbage");
  const { metrics } = await devtools.send("Performance.getMetrics");
  return metrics.find((metric) => metric.name === "JSHeapUsedSize").value / 1e6;
}

await page.addInitScript(() => {
  globalThis.frames_ = 0;
  globalThis.longest = 0;
  const count = () => {
    globalThis.frames_ += 1;
    requestAnimationFrame(count);
  };
  requestAnimationFrame(count);
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) globalThis.longest = Math.max(globalThis.longest, entry.duration);
  }).observe({ entryTypes: ["longtask"] });
});

await api.set({ storm: Number(events), unlimited: unlimited === "unlimited" });
for (const view of ["", "live"]) {
  await page.goto("about:blank");
  await page.goto(`${api.url}#/${view}`);
  await page.waitForTimeout(6000);
  const heaps = [];
  const start = await page.evaluate(() => [globalThis.frames_, performance.now()]);
  await page.evaluate(() => {
    globalThis.longest = 0;
  });
  for (let n = 0; n < 5; n++) {
    heaps.push(await heapMb());
    await page.waitForTimeout((Number(seconds) * 1000) / 5);
  }
  heaps.push(await heapMb());
  const stop = await page.evaluate(() => [globalThis.frames_, performance.now(), globalThis.longest]);
  const fps = ((stop[0] - start[0]) / (stop[1] - start[1])) * 1000;
  console.info(
    `${view || "overview"}: ${fps.toFixed(0)} frames a second, longest task ${stop[2].toFixed(0)} ms, heap ${heaps.map((mb) => mb.toFixed(1)).join(" ")} MB`,
  );
}

await end();
api.end();
process.exit(0);
