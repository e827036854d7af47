import { expect, it } from "vitest";
import { age, bytes, percent, rate, short, shortId, span, untilFirst } from "./format";

it.each([
  [0, "0"],
  [999, "999"],
  [1000, "1k"],
  [1240, "1.2k"],
  [9960, "10k"],
  [34_400, "34k"],
  [999_499, "999k"],
  [999_500, "1M"],
  [1_250_000, "1.3M"],
  [48_000_000, "48M"],
])("%d in four characters is %s", (value, text) => {
  expect(short(value)).toBe(text);
});

it.each([
  [0, "0"],
  [0.01, "<0.1"],
  [0.24, "0.2"],
  [41.64, "41.6"],
  [40, "40"],
  [99.97, "100"],
  [1234, "1.2k"],
])("%d a second is written %s", (value, text) => {
  expect(rate(value)).toBe(text);
});

it.each([
  [0.42, "0.4 ms"],
  [42.4, "42 ms"],
  [999.4, "999 ms"],
  [999.6, "1 s"],
  [1250, "1.25 s"],
  [12_340, "12.3 s"],
  [59_960, "1 m"],
  [125_000, "2 m 5 s"],
  [3 * 3_600_000, "3 h"],
  [98 * 3_600_000, "4 d 2 h"],
])("%d ms is %s", (ms, text) => {
  expect(span(ms)).toBe(text);
});

it("an age has whole seconds, and never is below none", () => {
  expect([age(-500), age(999), age(59_999), age(60_000), age(3_725_000)]).toEqual([
    "0 s",
    "0 s",
    "59 s",
    "1 m",
    "1 h 2 m",
  ]);
});

it.each([
  [-3_725_000, "overdue by 1 h 2 m"],
  [-5000, "overdue by 5 s"],
  [-4999, "about now"],
  [4999, "about now"],
  [5000, "within a minute"],
  [59_999, "within a minute"],
  [60_000, "in 1 m"],
  [119_999, "in 1 m"],
  [3_725_000, "in 1 h 2 m"],
])("when the first of many is due in %d ms that is %s", (ms, text) => {
  expect(untilFirst(ms)).toBe(text);
});

it("bytes and shares are rounded to what can be read", () => {
  expect([bytes(812), bytes(41_943_040), bytes(1.5 * 2 ** 30)]).toEqual(["812 B", "40 MiB", "1.5 GiB"]);
  expect([percent(0), percent(0.0004), percent(0.069), percent(0.5)]).toEqual(["0 %", "<0.1 %", "6.9 %", "50 %"]);
});

it("generated ids show both ends, since their beginnings are alike; ids of one's own are readable", () => {
  expect(shortId("019ac3f2c5e0a41bb3c2f0d6a7e91c55")).toBe("019ac3…e91c55");
  expect(shortId("order-9120")).toBe("order-9120");
  expect(shortId("invoice/2026-11/customer-77/line-12")).toBe("invoice/2026-11/…77/line-12");
});
