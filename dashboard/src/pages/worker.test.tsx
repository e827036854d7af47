import { QueryClientProvider } from "@tanstack/react-query";
import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { cache } from "../api/queries";
import type { Worker } from "../api/schema";
import { link } from "../live/source";
import { WorkerPage } from "./worker";

const NOON = Date.UTC(2026, 10, 28, 12);
const WORKER: Worker = {
  id: "web-1",
  status: "lost",
  hostname: "shop-7",
  pid: 4711,
  version: "1.0",
  started_at: new Date(NOON - 3_600_000).toISOString(),
  seen_at: new Date(NOON - 120_000).toISOString(),
  queues: ["default", "mail"],
  concurrency: 10,
  in_flight: 3,
  cpu_percent: 12,
  memory_bytes: 48_000_000,
  hub_lag_ms: 0.4,
  rates: null,
};

let there: boolean;

beforeEach(() => {
  vi.useFakeTimers({ now: NOON });
  vi.spyOn(link, "doubt").mockResolvedValue();
  link.state.set({ phase: "live" });
  there = true;
  vi.stubGlobal(
    "fetch",
    vi.fn(async (url: URL) => {
      if (url.pathname.endsWith("/tasks")) return Response.json({ items: [], next: null, scanned: 0, total: null });
      return there ? Response.json(WORKER) : Response.json({ error: "there is no such process" }, { status: 404 });
    }),
  );
});

afterEach(() => {
  cleanup();
  link.state.set({ phase: "connecting", before: false });
  cache.clear();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));
const show = () =>
  render(
    <QueryClientProvider client={cache}>
      <WorkerPage id="web-1" />
    </QueryClientProvider>,
  );

it("of a process that the server has forgotten the last that was known stays, and since when it is gone", async () => {
  show();
  await pass(10);
  expect(screen.getByText("lost")).toBeTruthy();
  expect(screen.queryByText(/is gone/)).toBeNull();

  there = false;
  await pass(3000);

  expect(screen.getByText(/This process is gone/).textContent).toContain("last seen 2 m");
  expect(screen.queryByText("lost")).toBeNull();
  expect(screen.getByText("shop-7, pid 4711")).toBeTruthy();
  expect(screen.getByText("It runs nothing any more")).toBeTruthy();

  there = true; // it had only stood still
  await pass(3000);
  expect(screen.queryByText(/is gone/)).toBeNull();
});

it("of one that was never seen it says that there is none", async () => {
  there = false;
  show();
  await pass(10);

  expect(screen.getByText("There is no such worker process")).toBeTruthy();
});
