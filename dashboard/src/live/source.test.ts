import { expect, it, vi } from "vitest";
import type { Overview } from "../api/schema";
import { figures, follow, link, overview, trail } from "./source";

const at = (second: number) => ({ at: new Date(Date.UTC(2026, 10, 28, 9, 0, second)).toISOString() }) as Overview;

it("the trail holds the figures of the last minute, at whatever pace they come", () => {
  for (const second of [0, 1, 30, 60, 62]) figures(at(second));

  expect(overview.get()).toEqual(at(62));
  expect(trail.get()).toEqual([at(30), at(60), at(62)]);
});

it("a hidden tab draws no figures, and at once when it is seen again", () => {
  vi.spyOn(link, "start").mockReturnValue();
  const hidden = vi.spyOn(document, "hidden", "get").mockReturnValue(false);
  follow();
  figures(at(200));
  const drawn = vi.fn();
  const forget = [overview.subscribe(drawn), trail.subscribe(drawn)];

  hidden.mockReturnValue(true);
  figures(at(201));
  figures(at(202));
  expect([overview.get(), drawn.mock.calls.length]).toEqual([at(200), 0]);

  hidden.mockReturnValue(false);
  document.dispatchEvent(new Event("visibilitychange"));
  expect([overview.get(), trail.get(), drawn.mock.calls.length]).toEqual([at(202), [at(200), at(201), at(202)], 2]);
  for (const one of forget) one();
});
