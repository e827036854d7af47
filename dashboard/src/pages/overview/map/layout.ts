// Where the nodes of the worker map stand, and which edges join them: plain columns, so that nothing moves while figures
// change. Producers → queues → worker processes → what became of the tasks.

import type { Overview, Queue, Worker } from "../../../api/schema";

export const ROOM = 9; // worker processes that are shown one by one; beyond that each host is one node
export const LINES = 12; // queues that are; beyond that the last node stands for all others
export const OTHERS = ""; // its id: no queue has that name

export interface Line {
  id: string;
  /** One queue, or all that have no node of their own. */
  queues: Queue[];
}

export interface Group {
  id: string;
  /** One worker process, or all of a host. */
  workers: Worker[];
}

export interface Place {
  id: string;
  x: number;
  y: number;
}

export interface Wire {
  id: string;
  from: string;
  to: string;
  /** Tasks a second; what the pulse goes by. */
  rate: number;
  tone: "accent" | "completed" | "failed" | "dead";
}

export const WIDTHS = { producers: 150, queue: 196, worker: 224, sink: 168 } as const;
const HEIGHTS = { producers: 74, queue: 88, worker: 116, sink: 74 } as const;
const GAP = 18;
const COLUMNS = [0, 250, 560, 900] as const;

/** Worker processes as they are shown. Lost ones stand alone, so that they are seen. */
export function grouped(workers: readonly Worker[]): Group[] {
  const sorted = [...workers].sort((a, b) => a.id.localeCompare(b.id));
  if (sorted.length <= ROOM) return sorted.map((worker) => ({ id: worker.id, workers: [worker] }));
  const hosts = new Map<string, Worker[]>();
  for (const worker of sorted) {
    const host = worker.status === "lost" ? worker.id : (worker.hostname ?? worker.id);
    hosts.set(host, [...(hosts.get(host) ?? []), worker]);
  }
  return [...hosts].map(([id, all]) => ({ id, workers: all }));
}

export const sum = (group: Group, read: (worker: Worker) => number | null | undefined): number =>
  group.workers.reduce((all, worker) => all + (read(worker) ?? 0), 0);

/** Queues as they are shown, in the order of the API: by their names, so that none moves while figures change. */
export function lined(queues: readonly Queue[]): Line[] {
  const alone = queues.length <= LINES ? queues : queues.slice(0, LINES - 1);
  const lines = alone.map((queue): Line => ({ id: queue.name, queues: [queue] }));
  return alone.length === queues.length ? lines : [...lines, { id: OTHERS, queues: queues.slice(LINES - 1) }];
}

export const total = ({ queues }: Line, read: (queue: Queue) => number): number =>
  queues.reduce((all, queue) => all + read(queue), 0);

/** Where each node stands: each column is centred on the tallest. */
export function places(
  lines: readonly Line[],
  groups: readonly Group[],
): { places: Place[]; height: number; width: number } {
  const columns: [string[], number][] = [
    [["producers"], HEIGHTS.producers],
    [lines.map((line) => `queue:${line.id}`), HEIGHTS.queue],
    [groups.map((group) => `worker:${group.id}`), HEIGHTS.worker],
    [["sink:completed", "sink:scheduled", "sink:dead"], HEIGHTS.sink],
  ];
  const tall = ([ids, height]: [string[], number]) => ids.length * (height + GAP) - GAP;
  const height = Math.max(...columns.map(tall));
  const found = columns.flatMap((column, x) => {
    const top = (height - tall(column)) / 2;
    return column[0].map((id, n) => ({ id, x: COLUMNS[x] ?? 0, y: top + n * (column[1] + GAP) }));
  });
  return { places: found, height, width: COLUMNS[3] + WIDTHS.sink };
}

export function wires({ totals }: Overview, lines: readonly Line[], groups: readonly Group[]): Wire[] {
  const found: Wire[] = lines.map((line) => ({
    id: `in:${line.id}`,
    from: "producers",
    to: `queue:${line.id}`,
    rate: total(line, (queue) => queue.rates.enqueued),
    tone: "accent",
  }));
  for (const group of groups) {
    const node = `worker:${group.id}`;
    const alive = group.workers.filter((worker) => worker.status !== "lost");
    for (const line of lines) {
      const read = line.queues.filter(({ name }) => alive.some((worker) => worker.queues.includes(name)));
      if (read.length === 0) continue;
      // How much of a queue goes to which process nobody counts: this says only whether, and about how fast.
      const mine = sum(
        { ...group, workers: alive },
        (worker) => (worker.rates?.completed ?? 0) + (worker.rates?.retried ?? 0),
      );
      const ended = total({ ...line, queues: read }, ({ paused, rates }) =>
        paused ? 0 : rates.completed + rates.retried + rates.dead,
      );
      found.push({
        id: `${line.id}>${group.id}`,
        from: `queue:${line.id}`,
        to: node,
        rate: Math.min(mine, ended),
        tone: "accent",
      });
    }
    for (const [sink, name] of [
      ["completed", "completed"],
      ["scheduled", "retried"],
      ["dead", "dead"],
    ] as const) {
      const tone = sink === "scheduled" ? "failed" : sink;
      found.push({
        id: `${group.id}>${sink}`,
        from: node,
        to: `sink:${sink}`,
        rate: sum({ ...group, workers: alive }, (worker) => worker.rates?.[name]),
        tone,
      });
    }
  }
  const due = totals.scheduled > 0;
  return found.filter((wire) => due || !wire.to.endsWith("scheduled") || wire.rate > 0 || groups.length <= 3);
}

/** From 0 (still) to 5: how fast a wire pulses, and how thick it is. One step for each factor of about six. */
export function pace(rate: number): 0 | 1 | 2 | 3 | 4 | 5 {
  if (rate < 0.02) return 0;
  if (rate < 1) return 1;
  if (rate < 8) return 2;
  if (rate < 50) return 3;
  return rate < 500 ? 4 : 5;
}
