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
  // The heap is read between the slices: a collection that is asked for takes tens of milliseconds, and is not the page's.
  const heaps = [await heapMb()];
  let [frames, ms, longest] = [0, 0, 0];
  for (let slice = 0; slice < 5; slice++) {
    const [drawn, began] = await page.evaluate(() => {
      globalThis.longest = 0;
      return [globalThis.frames_, performance.now()];
    });
    await page.waitForTimeout((Number(seconds) * 1000) / 5);
    const [now, ended, worst] = await page.evaluate(() => [globalThis.frames_, performance.now(), globalThis.longest]);
    frames += now - drawn;
    ms += ended - began;
    longest = Math.max(longest, worst);
    heaps.push(await heapMb());
  }
  const fps = (frames / ms) * 1000;
  console.info(
    `${view || "overview"}: ${fps.toFixed(0)} frames a second, longest task ${longest.toFixed(0)} ms, heap ${heaps.map((mb) => mb.toFixed(1)).join(" ")} MB`,
  );
}

await end();
api.end();
process.exit(0);
