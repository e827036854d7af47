import { expect, it } from "vitest";
import { full } from "./series";

it("a line does not fall where the step is not over yet", () => {
  expect(full([40, 50, 3])).toEqual([40, 50, 50]);
  expect([full([7]), full([])]).toEqual([[7], []]);
});
