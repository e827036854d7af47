import type { Attempt, Event, Line, Rates } from "../../src/api/schema.ts";
import { KINDS, type Kind, QUEUES, traceback } from "./kinds.ts";
import { Past } from "./past.ts";
import { Random } from "./random.ts";
import { type FakeTask, type FakeWorker, iso } from "./task.ts";

const TICK_MS = 100;
const HISTORY = 3000;
const KEYS: Record<string, string> = { default: "buraq_tasks" };

/** A queue system that was never built: tasks come, wait, run, fail and die, in memory. */
export class World {
  readonly random = new Random(20261128);
  readonly past = new Past(this.random);
  readonly tasks = new Map<string, FakeTask>();
  readonly dead: FakeTask[] = [];
  readonly history: FakeTask[] = [];
  readonly workers: FakeWorker[] = [];
  readonly paused = new Map<string, { at: string; by: string }>();
  /** Tasks enqueued a second, on average. */
  rate = 36;
  /** Events a second that are made up on top, to see what a storm does. */
  storm = 0;
  sampled = false;
  listeners = new Set<(event: Event) => void>();
  #stamp = 0;
  #rates = new Map<string, Rates>();

  constructor() {
    for (const [id, host] of [
      ["web-7f9c-3b1d", "worker-7f9c"],
      ["web-7f9c-a04e", "worker-7f9c"],
      ["web-b812-91c7", "worker-b812"],
    ] as const) {
      this.addWorker(
        id,
        host,
        host === "worker-b812" ? ["bulk"] : ["default", "mail"],
        host === "worker-b812" ? 12 : 100,
      );
    }
    this.#bury(640);
    for (let i = 0; i < 500; i++) this.enqueue(this.random.weighted(KINDS), Date.now() - this.random.between(0, 4000));
    for (let i = 0; i < 170; i++) this.enqueue(KINDS[4] ?? this.random.pick(KINDS), Date.now() - 45_000 + i * 260);
    for (let i = 0; i < 40; i++) this.step(Date.now() - 4000 + i * TICK_MS);
  }

  addWorker(id: string, hostname: string, queues: string[] = [...QUEUES], concurrency = 100): void {
    const now = Date.now();
    this.workers.push({
      diedAt: 0,
      facts: {
        id,
        status: "active",
        hostname,
        pid: this.random.whole(20, 900),
        version: "1.0.0",
        started_at: iso(now - this.random.between(2, 60) * 3_600_000),
        seen_at: iso(now),
        queues,
        concurrency,
        in_flight: 0,
        cpu_percent: 22,
        memory_bytes: Math.round(this.random.between(78, 132) * 1e6),
        hub_lag_ms: 3,
        rates: { completed: 0, retried: 0, dead: 0 },
      },
    });
  }

  start(): () => void {
    const timer = setInterval(() => this.step(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }

  // -- reading

  rates(queue: string): Rates {
    return this.#rates.get(queue) ?? { enqueued: 0, completed: 0, retried: 0, dead: 0 };
  }

  key(task: FakeTask): string {
    const base = KEYS[task.queue] ?? `buraq_tasks:${task.queue}`;
    if (task.state === "dead") return `${base}_dlq`;
    if (task.state === "scheduled") return `${base}:scheduled`;
    return task.line === "normal" ? base : `${base}_${task.line}`;
  }

  // -- what happens

  enqueue(kind: Kind, now: number, more: Partial<Pick<FakeTask, "id" | "payload" | "dueAt" | "queue">> = {}): FakeTask {
    const delayed = more.dueAt !== undefined || this.random.next() < 0.02;
    const task: FakeTask = {
      id: more.id ?? Math.round(now).toString(16).padStart(12, "0") + this.random.hex(20),
      kind,
      queue: more.queue ?? kind.queue,
      payload: more.payload ?? kind.payload(this.random),
      createdAt: now,
      since: now,
      attempt: 1,
      deaths: 0,
      attempts: [],
      line: kind.priority,
      dueAt: delayed ? (more.dueAt ?? now + this.random.between(4000, 90_000)) : 0,
      startedAt: 0,
      endsAt: 0,
      worker: "",
      slot: 0,
      entry: `${Math.round(now)}-${this.random.whole(0, 9)}`,
      waited: 0,
      group: "",
      state: delayed ? "scheduled" : "waiting",
    };
    this.tasks.set(task.id, task);
    this.past.count("enqueued", task.queue);
    if (!delayed) this.#publish("Pending", task, now);
    return task;
  }

  step(now: number): void {
    const wave = 1 + 0.35 * Math.sin(now / 19_000) + 0.2 * Math.sin(now / 3_700);
    const coming = this.random.poisson((this.rate * wave * TICK_MS) / 1000);
    for (let i = 0; i < coming; i++) this.enqueue(this.random.weighted(KINDS), now - this.random.between(0, TICK_MS));
    for (const task of this.tasks.values()) {
      if (task.state === "running" && task.endsAt <= now) this.#end(task, now);
      if (task.state === "scheduled" && task.dueAt <= now) this.#wait(task, now, task.kind.priority);
    }
    this.#fetch(now);
    this.#readings(now);
    if (this.storm > 0) this.#blow(now);
  }

  kill(id: string): void {
    const worker = this.workers.find((one) => one.facts.id === id);
    if (!worker) return;
    worker.facts.status = "lost";
    worker.facts.rates = null;
    worker.diedAt = Date.now();
    for (const task of this.tasks.values()) {
      if (task.state !== "running" || task.worker !== id) continue;
      task.deaths += 1;
      task.attempts.unshift(this.#attempt(task, "died", Date.now(), null));
      this.#wait(task, Date.now(), task.deaths > 1 ? "suspects" : "front");
    }
  }

  replay(task: FakeTask, payload?: FakeTask["payload"]): boolean {
    const at = this.dead.indexOf(task);
    if (at < 0) return false;
    this.dead.splice(at, 1);
    if (payload) task.payload = payload;
    task.attempt = 1;
    this.tasks.set(task.id, task);
    this.#wait(task, Date.now(), task.kind.priority);
    return true;
  }

  cancel(task: FakeTask): void {
    task.state = "cancelled";
    task.since = Date.now();
    this.#remember(task);
  }

  #wait(task: FakeTask, now: number, line: Line): void {
    task.state = "waiting";
    task.since = now;
    task.line = line;
    task.worker = "";
    task.entry = `${Math.round(now)}-${this.random.whole(0, 9)}`;
    this.#publish("Pending", task, now);
  }

  #fetch(now: number): void {
    const active = this.workers.filter((one) => one.facts.status === "active");
    if (!active.length) return;
    const lines: Line[] = ["suspects", "front", "high", "normal", "low"];
    const room = new Map(active.map((one) => [one, (one.facts.concurrency ?? 0) - (one.facts.in_flight ?? 0)]));
    const waiting = [...this.tasks.values()].filter((task) => task.state === "waiting" && !this.paused.has(task.queue));
    waiting.sort((a, b) => lines.indexOf(a.line) - lines.indexOf(b.line) || a.since - b.since);
    for (const task of waiting.slice(0, 400)) {
      const free = active.filter((one) => (room.get(one) ?? 0) > 0 && one.facts.queues.includes(task.queue));
      if (!free.length) continue;
      const worker = this.random.pick(free);
      room.set(worker, (room.get(worker) ?? 1) - 1);
      task.state = "running";
      task.worker = worker.facts.id;
      task.slot = this.random.whole(0, 99);
      task.waited = Math.max(1, Math.round(now - task.since));
      task.startedAt = now;
      task.since = now;
      task.endsAt = now + this.random.between(...task.kind.runs) * (this.random.next() < 0.05 ? 3 : 1);
      this.past.time("wait_ms", task.queue, task.waited);
      this.#publish("Processing", task, now);
    }
  }

  #end(task: FakeTask, now: number): void {
    const ran = Math.round(task.endsAt - task.startedAt);
    this.past.time("run_ms", task.queue, ran);
    if (this.random.next() >= task.kind.fails) {
      task.attempts.unshift(this.#attempt(task, "completed", now, null));
      task.state = "completed";
      this.past.count("completed", task.queue);
      this.#publish("Completed", task, now, { duration_ms: ran });
      this.#remember(task, now);
      return;
    }
    const error = task.kind.error(this.random);
    task.attempts.unshift(this.#attempt(task, "failed", now, error));
    if (task.attempt <= task.kind.maxRetries) {
      this.past.count("retried", task.queue);
      this.#publish("Failed", task, now, { duration_ms: ran, error });
      task.state = "scheduled";
      task.dueAt = now + this.random.between(0.3, 1) * 1000 * 2 ** task.attempt;
      task.since = now;
      task.attempt += 1;
      this.history.unshift({ ...task, state: "failed" });
      return;
    }
    this.past.count("dead", task.queue);
    this.#publish("DLQ", task, now, { duration_ms: ran, error });
    this.tasks.delete(task.id);
    this.#die(task, now);
  }

  #die(task: FakeTask, now: number): void {
    task.state = "dead";
    task.since = now;
    task.entry = `${Math.round(now)}-${this.random.whole(0, 9)}`;
    const text = (task.attempts[0]?.error ?? "").replace(/[0-9a-f]{8,}|\d+/g, "#");
    let hash = 5381;
    for (const letter of `${task.queue}${task.kind.type}${text}`) hash = ((hash * 33) ^ letter.charCodeAt(0)) >>> 0;
    task.group = hash.toString(16).padStart(12, "0");
    this.dead.unshift(task);
  }

  #remember(task: FakeTask, now = Date.now()): void {
    task.since = now;
    this.tasks.delete(task.id);
    this.history.unshift(task);
    this.history.length = Math.min(this.history.length, HISTORY);
  }

  #attempt(task: FakeTask, outcome: Attempt["outcome"], now: number, error: string | null): Attempt {
    return {
      number: task.attempt,
      outcome,
      started_at: iso(task.startedAt),
      duration_ms: Math.round(now - task.startedAt),
      worker_id: outcome === "died" ? task.worker : `${task.worker}-${task.slot}`,
      error,
      traceback: error && outcome === "failed" ? traceback(task.kind, error) : null,
    };
  }

  #publish(type: Event["type"], task: FakeTask, now: number, more: Partial<Event> = {}): void {
    if (!this.listeners.size) return;
    this.#stamp = Math.max(this.#stamp + 1, Math.round(now * 1000));
    const event: Event = {
      type,
      task_id: task.id,
      worker_id: task.worker ? `${task.worker}-${task.slot}` : "",
      task_type: task.kind.type,
      queue: task.queue,
      at: this.#stamp,
      attempt: task.attempt,
      ...more,
    };
    for (const hear of this.listeners) hear(event);
  }

  #readings(now: number): void {
    for (const worker of this.workers) {
      const { facts } = worker;
      if (facts.status === "lost") continue;
      facts.in_flight = [...this.tasks.values()].filter((t) => t.state === "running" && t.worker === facts.id).length;
      const load = (facts.in_flight / (facts.concurrency ?? 100)) * 100;
      facts.cpu_percent =
        Math.round((0.9 * (facts.cpu_percent ?? 0) + 0.1 * (8 + load * 0.6 + this.random.between(0, 22))) * 10) / 10;
      facts.hub_lag_ms = Math.round((0.95 * (facts.hub_lag_ms ?? 0) + 0.05 * this.random.between(1, 14)) * 10) / 10;
      facts.seen_at = iso(now);
    }
    const gone = this.workers.findIndex((one) => one.diedAt && now - one.diedAt > 120_000);
    if (gone >= 0) this.workers.splice(gone, 1);
    const active = this.workers.filter((one) => one.facts.status === "active");
    const sum = { completed: 0, retried: 0, dead: 0 };
    for (const name of QUEUES) {
      const rates = this.past.rates(name);
      this.#rates.set(name, rates);
      sum.completed += rates.completed;
      sum.retried += rates.retried;
      sum.dead += rates.dead;
    }
    active.forEach((worker, i) => {
      const share = [0.41, 0.33, 0.26][i] ?? 1 / active.length;
      const part = (value: number) => Math.round(value * share * 10) / 10;
      worker.facts.rates = { completed: part(sum.completed), retried: part(sum.retried), dead: part(sum.dead) };
    });
  }

  /** Lay dead letters down as an evening of trouble would have left them. */
  #bury(count: number): void {
    const now = Date.now();
    const bad = KINDS.filter((kind) => kind.fails > 0.009);
    for (let i = 0; i < count; i++) {
      const kind = this.random.next() < 0.62 ? KINDS[3] : this.random.pick(bad);
      if (!kind) continue;
      const died = now - (count - i) * 21_000 - this.random.between(0, 9000);
      const task = this.enqueue(kind, died - 60_000);
      this.tasks.delete(task.id);
      task.attempt = kind.maxRetries + 1;
      task.worker = this.random.pick(this.workers).facts.id;
      task.slot = this.random.whole(0, 99);
      for (let n = 1; n <= task.attempt; n++) {
        const failed = { ...task, attempt: n, startedAt: died - (2 ** (task.attempt - n) - 1) * 1900 - 500 };
        task.attempts.unshift(
          this.#attempt(failed, "failed", failed.startedAt + this.random.between(40, 480), kind.error(this.random)),
        );
      }
      this.#die(task, died);
    }
  }

  #blow(now: number): void {
    const tasks = Math.ceil((this.storm * TICK_MS) / 1000 / 3);
    for (let i = 0; i < tasks; i++) {
      const kind = this.random.weighted(KINDS);
      const id = Math.round(now).toString(16).padStart(12, "0") + this.random.hex(20);
      const task = { id, kind, queue: kind.queue, worker: "web-7f9c-3b1d", slot: i % 100, attempt: 1 } as FakeTask;
      this.#publish("Pending", { ...task, worker: "" }, now);
      this.#publish("Processing", task, now);
      this.#publish("Completed", task, now, { duration_ms: 12 });
    }
  }
}
