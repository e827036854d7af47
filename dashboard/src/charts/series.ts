// What the charts share: the steps of the statistics as seconds, axes, and how values are read off.

import type uPlot from "uplot";
import type { Statistics } from "../api/schema";

/** When each step begins, unix seconds. */
export function times(stats: Statistics): number[] {
  const start = Date.parse(stats.start) / 1000;
  return stats.counts.completed.map((_, step) => start + step * stats.step_s);
}

/**
 * Values for a line that ends where the last full step does: of the one that is still filling it would fall, as if less
 * had happened.
 */
export const full = (values: readonly number[]): number[] =>
  values.map((value, step) => (step === values.length - 1 ? (values[step - 1] ?? value) : value));

export function stepName(stats: Statistics): string {
  return stats.step_s === 60 ? "a minute" : `${stats.step_s / 60} minutes`;
}

const TIME = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", hour12: false });

export function stepTime(stats: Statistics, step: number): string {
  const start = Date.parse(stats.start) + step * stats.step_s * 1000;
  return TIME.format(start);
}

type Colour = (name: string) => string;

export function axes(colour: Colour, values: (value: number) => string): uPlot.Axis[] {
  const shared = {
    stroke: colour("faint"),
    font: '11px "Geist", system-ui, sans-serif',
    ticks: { show: false },
    border: { show: false },
  };
  return [
    {
      ...shared,
      grid: { show: false },
      size: 24,
      gap: 6,
      space: 64,
      values: (_, splits) => splits.map((at) => TIME.format(at * 1000)),
    },
    {
      ...shared,
      grid: { stroke: colour("line"), width: 1 },
      size: 44,
      gap: 6,
      space: 26,
      values: (_, splits) => splits.map((value) => (value === null ? "" : values(value))),
    },
  ];
}
