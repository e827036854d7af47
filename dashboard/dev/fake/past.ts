import type { CountSeries, PercentileSeries, Rates, Statistics } from "../../src/api/schema.ts";
import { QUEUES } from "./kinds.ts";
import type { Random } from "./random.ts";

const MINUTE = 60_000;
const MINUTES = 24 * 60;
const NAMES = ["enqueued", "completed", "retried", "dead"] as const;
type Name = (typeof NAMES)[number];
type Span = "run_ms" | "wait_ms";

interface Bucket {
  minute: number;
  counts: Record<Name, number>;
  run_ms: number[];
  wait_ms: number[];
}

/** What the scripts of the real one would have counted: a bucket for each minute of the last day, for each queue. */
export class Past {
  #buckets = new Map<string, Map<number, Bucket>>();
  #recent: { at: number; name: Name; queue: string }[] = [];
  #random: Random;

  constructor(random: Random) {
    this.#random = random;
    const minute = Math.floor(Date.now() / MINUTE);
    for (const queue of QUEUES) for (let back = MINUTES; back > 0; back--) this.#invent(queue, minute - back, back);
  }

  count(name: Name, queue: string): void {
    this.#bucket(queue, Math.floor(Date.now() / MINUTE)).counts[name] += 1;
    this.#recent.push({ at: Date.now(), name, queue });
  }

  time(span: Span, queue: string, ms: number): void {
    this.#bucket(queue, Math.floor(Date.now() / MINUTE))[span].push(ms);
  }

  /** Tasks a second, over the last ten. */
  rates(queue: string): Rates {
    const since = Date.now() - 10_000;
    this.#recent = this.#recent.filter((one) => one.at >= since);
    const rates: Rates = { enqueued: 0, completed: 0, retried: 0, dead: 0 };
    for (const one of this.#recent) if (one.queue === queue) rates[one.name] += 0.1;
    for (const name of NAMES) rates[name] = Math.round(rates[name] * 10) / 10;
    return rates;
  }

  statistics(window: "hour" | "day", queue: string | null): Statistics {
    const step = window === "hour" ? 1 : 5;
    const steps = window === "hour" ? 60 : 288;
    const now = Date.now();
    const last = Math.floor(now / MINUTE / step) * step;
    const counts: CountSeries = { enqueued: [], completed: [], retried: [], dead: [] };
    const run: PercentileSeries = { p50: [], p95: [], p99: [] };
    const wait: PercentileSeries = { p50: [], p95: [], p99: [] };
    const all: Record<Span, number[]> = { run_ms: [], wait_ms: [] };
    for (let n = steps - 1; n >= 0; n--) {
      const found = this.#gather(queue, last - n * step, step);
      for (const name of NAMES) counts[name].push(found.reduce((sum, bucket) => sum + bucket.counts[name], 0));
      for (const [span, series] of [
        ["run_ms", run],
        ["wait_ms", wait],
      ] as const) {
        const values = found.flatMap((bucket) => bucket[span]);
        all[span].push(...values);
        add(series, percentiles(values));
      }
    }
    const total = (name: Name) => counts[name].reduce((sum, value) => sum + value, 0);
    return {
      at: new Date(now).toISOString(),
      window,
      queue,
      start: new Date((last - (steps - 1) * step) * MINUTE).toISOString(),
      step_s: step * 60,
      counts,
      run_ms: run,
      wait_ms: wait,
      totals: {
        counts: {
          enqueued: total("enqueued"),
          completed: total("completed"),
          retried: total("retried"),
          dead: total("dead"),
        },
        run_ms: percentiles(all.run_ms),
        wait_ms: percentiles(all.wait_ms),
      },
    };
  }

  #gather(queue: string | null, minute: number, step: number): Bucket[] {
    const found: Bucket[] = [];
    for (const name of queue === null ? QUEUES : [queue]) {
      for (let n = 0; n < step; n++) {
        const bucket = this.#buckets.get(name)?.get(minute + n);
        if (bucket) found.push(bucket);
      }
    }
    return found;
  }

  #bucket(queue: string, minute: number): Bucket {
    const mine = this.#buckets.get(queue) ?? new Map<number, Bucket>();
    this.#buckets.set(queue, mine);
    const found = mine.get(minute);
    if (found) return found;
    const made = { minute, counts: { enqueued: 0, completed: 0, retried: 0, dead: 0 }, run_ms: [], wait_ms: [] };
    mine.set(minute, made);
    return made;
  }

  #invent(queue: string, minute: number, back: number): void {
    const random = this.#random;
    const bucket = this.#bucket(queue, minute);
    const base = { default: 950, mail: 1050, bulk: 130 }[queue] ?? 100;
    const day = 1 + 0.45 * Math.sin((minute / MINUTES) * 2 * Math.PI) + 0.1 * Math.sin(minute / 7);
    const trouble = back > 19 && back < 31 && queue === "default" ? 1 : 0;
    bucket.counts.enqueued = random.poisson(base * day * (trouble ? 1.5 : 1));
    bucket.counts.completed = Math.round(bucket.counts.enqueued * (trouble ? 0.62 : random.between(0.96, 0.99)));
    bucket.counts.retried = random.poisson(base * (trouble ? 0.32 : 0.028));
    bucket.counts.dead = random.poisson(trouble ? 14 : 0.25);
    const slow = { default: 190, mail: 46, bulk: 1900 }[queue] ?? 100;
    for (let i = 0; i < 24; i++) {
      bucket.run_ms.push(
        slow * Math.exp(random.between(-1, 1) * 0.7) * (random.next() < 0.04 ? 9 : 1) * (trouble ? 3 : 1),
      );
      bucket.wait_ms.push(4 * Math.exp(random.between(0, 1.6)) * (random.next() < 0.05 ? 14 : 1) * (trouble ? 40 : 1));
    }
  }
}

function percentiles(values: number[]): { p50: number | null; p95: number | null; p99: number | null } {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number) => {
    const value = sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))];
    return value === undefined ? null : Math.round(value * 10) / 10;
  };
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

function add(series: PercentileSeries, values: ReturnType<typeof percentiles>): void {
  series.p50.push(values.p50);
  series.p95.push(values.p95);
  series.p99.push(values.p99);
}
