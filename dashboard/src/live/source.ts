// The page's own stream: what it wants, and who gets what it brings.

import { address, ask, ELSEWHERE, Problem } from "../api/client";
import type { Event, Overview } from "../api/schema";
import { heardTime } from "../lib/clock";
import { stopped } from "../lib/settings";
import { Store } from "../lib/store";
import { FrameQueue } from "./frames";
import { type Health, type Heard, LiveLink, type Stream } from "./link";
import { weight } from "./log";

const EVENTS_A_SECOND = 500; // more than that nobody can read, and a browser need not carry
const HIDDEN_MS = 15_000; // after which a hidden tab gives its connection back: a browser has six for each server
export const TRAIL_MS = 60_000;

export type Arrival = Event | { skipped: number | null };

/** The newest figures; null until the first come. */
export const overview = new Store<Overview | null>(null);
/** The figures of the last minute, the newest last. */
export const trail = new Store<readonly Overview[]>([]);

let unseen: Overview[] = []; // what came while the tab was hidden

const listeners = new Map<(arrived: Arrival[]) => void, readonly string[]>();
const frames = new FrameQueue<Arrival>((arrived, dropped) => {
  if (dropped) arrived.unshift({ skipped: dropped });
  for (const listener of listeners.keys()) listener(arrived);
}, weight);

export const link = new LiveLink({ open, health }, hear);

/** Take new figures, wherever they come from. A hidden tab draws none, and all of them when it is seen again. */
export function figures(fresh: Overview): void {
  heardTime(fresh.at);
  unseen.push(fresh);
  if (!document.hidden) draw();
}

function draw(): void {
  const newest = unseen.at(-1);
  if (!newest) return;
  const since = Date.parse(newest.at) - TRAIL_MS;
  const past = [...trail.get(), ...unseen].filter((one) => Date.parse(one.at) > since);
  unseen = [];
  overview.set(newest);
  trail.set(past);
}

/** Hear single events of `types`, merged by frame, until the returned function is called. */
export function listen(types: readonly string[], listener: (arrived: Arrival[]) => void): () => void {
  listeners.set(listener, types);
  want();
  return () => {
    listeners.delete(listener);
    want();
  };
}

let wanting: ReturnType<typeof setTimeout> | undefined;

function want(): void {
  // One view is left for another in the same moment: one change of the stream is enough.
  clearTimeout(wanting);
  wanting = setTimeout(() => link.want([...new Set([...listeners.values()].flat())].sort()), 50);
}

function hear(kind: string, data: string): void {
  if (kind === "stats") figures(JSON.parse(data) as Overview);
  else if (kind === "skipped") frames.push({ skipped: (JSON.parse(data) as { count: number }).count });
  else if (kind === "gap" || kind === "open") frames.push({ skipped: null });
  else if (kind === "message") {
    const event = JSON.parse(data) as Event | { type: "ping" };
    if (event.type !== "ping") frames.push(event);
  }
}

function open(types: readonly string[], heard: Heard): Stream {
  const url = address("streamEvents");
  url.searchParams.set("types", [...types, "stats"].join(","));
  if (types.length) url.searchParams.set("limit", String(EVENTS_A_SECOND));
  const source = new EventSource(url, { withCredentials: ELSEWHERE });
  for (const kind of ["message", "stats", "skipped", "gap"]) {
    source.addEventListener(kind, (event: MessageEvent<string>) => heard.message(kind, event.data));
  }
  // It would connect again by itself, but says neither why it broke nor how often it tried.
  source.onerror = () => heard.failed();
  return source;
}

async function health(): Promise<Health> {
  try {
    const session = await ask("getSession", { signal: AbortSignal.timeout(5000) });
    if (!session.may_read) return "refused";
    await ask("getHealth", { signal: AbortSignal.timeout(5000) });
    return "fine";
  } catch (error) {
    return error instanceof Problem && error.status === 503 ? "away" : "unreachable";
  }
}

/** Follow from here on, also where somebody had stopped it: who reads is another one now. */
export function renew(): void {
  stopped.set(false);
  link.start();
}

/** Keep the link while the page is seen and not stopped. */
export function follow(): void {
  let hiding: ReturnType<typeof setTimeout> | undefined;
  const look = () => {
    if (!document.hidden) draw();
    clearTimeout(hiding);
    const resting = link.state.get().phase === "resting";
    if (stopped.get()) link.rest();
    else if (document.hidden) hiding = setTimeout(() => link.rest(), HIDDEN_MS);
    else if (resting) link.start();
  };
  document.addEventListener("visibilitychange", look);
  stopped.subscribe(look);
  addEventListener("online", () => {
    if (["lost", "given-up"].includes(link.state.get().phase)) link.start();
  });
  if (!document.hidden) link.start();
  else link.rest();
}
