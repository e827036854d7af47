import { cleanup, render } from "@testing-library/react";
import { afterEach, expect, it } from "vitest";
import { Sparkline } from "./sparkline";

afterEach(cleanup);

function drawn(points: [number, number][]): string | null | undefined {
  const { container } = render(<Sparkline points={points} span={60_000} width={62} height={24} />);
  return container.querySelector("polyline")?.getAttribute("points");
}

it("each point is where its time is, also where for a while none came", () => {
  expect(
    drawn([
      [1_000_000, 0],
      [1_001_000, 5],
      [1_031_000, 10],
    ]),
  ).toBe("30.0,22.0 31.0,12.0 61.0,2.0");
});

it("is empty before the first figures, and lies on the ground where nothing waits", () => {
  expect(drawn([])).toBe("");
  expect(drawn([[5000, 0]])).toBe("61.0,22.0");
});
