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

/** How many events something stands for that arrived: one, or all that were left out. */
export const weight = (one: Event | { skipped: number | null }): number => ("skipped" in one ? (one.skipped ?? 0) : 1);

/** How many of the lines are events; the others say that some are missing. */
export const events = (lines: readonly Line[]): number => lines.filter((line) => "event" in line).length;

/** Lines whose event is of one of `types` and has the words of `text` in its ids, types, queue, worker or error. */
export function matching(lines: readonly Line[], types: readonly Event["type"][], text: string): readonly Line[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return lines.filter((line) => {
    if (!("event" in line)) return true;
    const { type, task_id, task_type, queue, worker_id, error } = line.event;
    if (!types.includes(type)) return false;
    const said = `${type} ${task_id} ${task_type} ${queue} ${worker_id} ${error}`.toLowerCase();
    return words.every((word) => said.includes(word));
  });
}
