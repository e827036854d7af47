import { expect, it } from "vitest";
import type { Overview } from "../api/schema";
import { figures, overview, trail } from "./source";

it("the trail holds the figures of the last minute, at whatever pace they come", () => {
  const at = (second: number) => ({ at: new Date(Date.UTC(2026, 10, 28, 9, 0, second)).toISOString() }) as Overview;

  for (const second of [0, 1, 30, 60, 62]) figures(at(second));

  expect(overview.get()).toEqual(at(62));
  expect(trail.get()).toEqual([at(30), at(60), at(62)]);
});
