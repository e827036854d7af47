// The event log of the Live view.

import type { Event } from "../api/schema";

export const LINES = 1000;

export type Line =
  | { key: number; at: number; event: Event }
  /** Stands where events are missing: left out by the server's limit, or lost with the connection. */
  | { key: number; at: number; skipped: number | null };

export interface Log {
  /** The newest first. */
  lines: readonly Line[];
  next: number;
}

export const EMPTY_LOG: Log = { lines: [], next: 0 };

/** Add what arrived in one frame, in the order it came. */
export function record(log: Log, arrived: readonly (Event | { skipped: number | null })[], at: number): Log {
  let { next } = log;
  const fresh = arrived
    .slice(-LINES)
    .map(
      (one): Line =>
        "skipped" in one ? { key: next++, at, ...one } : { key: next++, at: one.at ? one.at / 1000 : at, event: one },
    );
  return { lines: [...fresh.reverse(), ...log.lines].slice(0, LINES), next };
}

/** Lines whose event has the words of `text` in its ids, types, queue, worker or error. */
export function matching(lines: readonly Line[], text: string): readonly Line[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return lines;
  return lines.filter((line) => {
    if (!("event" in line)) return true;
    const { type, task_id, task_type, queue, worker_id, error } = line.event;
    const said = `${type} ${task_id} ${task_type} ${queue} ${worker_id} ${error}`.toLowerCase();
    return words.every((word) => said.includes(word));
  });
}
