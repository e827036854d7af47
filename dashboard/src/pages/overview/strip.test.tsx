import { act, cleanup, render, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { Overview, Queue } from "../../api/schema";
import { overview } from "../../live/source";
import { Strip } from "./strip";

const NOON = Date.UTC(2026, 10, 28, 12);
const RATES = { enqueued: 40, completed: 38, retried: 2, dead: 0 };

/** What the server says at a time, when the first scheduled task is due in `ms`. */
function figures(at: number, ms: number): Overview {
  const counts = { waiting: 0, running: 3, scheduled: 9, dead: 0, rates: RATES };
  const queue: Queue = {
    name: "default",
    paused: null,
    waiting_by: { suspects: 0, front: 0, high: 0, normal: 0, low: 0 },
    next_due_at: new Date(at + ms).toISOString(),
    oldest_ms: null,
    workers: 1,
    ...counts,
  };
  return {
    at: new Date(at).toISOString(),
    rate_window_s: 10,
    queues: [queue],
    totals: counts,
    workers: { active: 1, draining: 0, lost: 0, slots: 10, in_flight: 3 },
  };
}

beforeEach(() => vi.useFakeTimers({ now: NOON }));

afterEach(() => {
  cleanup();
  overview.set(null);
  vi.useRealTimers();
});

it("while the first scheduled task is another one each second, what is said of it stands still", () => {
  const said = new Set<string | null>();
  render(<Strip />);
  for (const [second, ms] of [300, 2900, 0, -700, 4100, 1200, -1900].entries()) {
    act(() => {
      vi.advanceTimersByTime(1000);
      overview.set(figures(NOON + 1000 * second, ms));
    });
    said.add(screen.getByText(/^first/).textContent);
  }

  expect([...said]).toEqual(["first about now"]);
});

it("nothing is called overdue because the figures are old", () => {
  act(() => overview.set(figures(NOON, 30_000)));
  render(<Strip />);

  act(() => vi.advanceTimersByTime(3_600_000));

  expect(screen.getByText(/^first/).textContent).toBe("first within a minute");
});
