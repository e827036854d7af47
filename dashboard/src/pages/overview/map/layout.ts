// Where the nodes of the worker map stand, and which edges join them: plain columns, so that nothing moves while figures
// change. Producers → queues → worker processes → what became of the tasks.

import type { Overview, Queue, Worker } from "../../../api/schema";

export const ROOM = 9; // worker processes that are shown one by one; beyond that each host is one node

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

/** Where each node stands: each column is centred on the tallest. */
export function places(
  queues: readonly Queue[],
  groups: readonly Group[],
): { places: Place[]; height: number; width: number } {
  const columns: [string[], number][] = [
    [["producers"], HEIGHTS.producers],
    [queues.map((queue) => `queue:${queue.name}`), HEIGHTS.queue],
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

export function wires({ queues, totals }: Overview, groups: readonly Group[]): Wire[] {
  const found: Wire[] = queues.map((queue) => ({
    id: `in:${queue.name}`,
    from: "producers",
    to: `queue:${queue.name}`,
    rate: queue.rates.enqueued,
    tone: "accent",
  }));
  for (const group of groups) {
    const node = `worker:${group.id}`;
    const alive = group.workers.filter((worker) => worker.status !== "lost");
    for (const queue of queues) {
      if (!alive.some((worker) => worker.queues.includes(queue.name))) continue;
      // How much of a queue goes to which process nobody counts: this says only whether, and about how fast.
      const mine = sum(
        { ...group, workers: alive },
        (worker) => (worker.rates?.completed ?? 0) + (worker.rates?.retried ?? 0),
      );
      const out = queue.rates.completed + queue.rates.retried + queue.rates.dead;
      found.push({
        id: `${queue.name}>${group.id}`,
        from: `queue:${queue.name}`,
        to: node,
        rate: queue.paused ? 0 : Math.min(mine, out),
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
