import { expect, it } from "vitest";
import { FrameQueue } from "./frames";

function queue(capacity: number, weigh?: (item: number) => number) {
  const frames: (() => void)[] = [];
  const taken: [number[], number][] = [];
  const made = new FrameQueue<number>(
    (items, dropped) => taken.push([items, dropped]),
    weigh,
    capacity,
    (run) => frames.push(run),
  );
  return { made, frames, taken, frame: () => frames.shift()?.() };
}

it("what arrives within a frame is handed over once, in order", () => {
  const { made, frames, taken, frame } = queue(10);
  for (const n of [1, 2, 3]) made.push(n);
  expect(frames).toHaveLength(1);

  frame();
  made.push(4);
  frame();

  expect(taken).toEqual([
    [[1, 2, 3], 0],
    [[4], 0],
  ]);
});

it("without a frame, as in a hidden tab, it keeps the newest and counts the rest", () => {
  const { made, taken, frame } = queue(100);
  for (let n = 0; n < 1_000_000; n++) made.push(n);

  frame();

  const [items, dropped] = taken[0] ?? [[], 0];
  expect(items).toHaveLength(100);
  expect(items.at(-1)).toBe(999_999);
  expect(dropped).toBe(999_900);
});

it("what is dropped counts by its weight", () => {
  const { made, taken, frame } = queue(2, (item) => item);
  for (const n of [10, 20, 30, 40, 50, 60]) made.push(n);

  frame();

  expect(taken).toEqual([[[50, 60], 100]]);
});
