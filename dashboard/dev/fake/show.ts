import type {
  DeadLetter,
  DeadLetterDetail,
  DeadLetterGroup,
  Line,
  Overview,
  Place,
  Queue,
  Rates,
  System,
  TaskDetail,
  TaskSummary,
} from "../../src/api/schema.ts";
import { QUEUES } from "./kinds.ts";
import { type FakeTask, iso } from "./task.ts";
import type { World } from "./world.ts";

const preview = (task: FakeTask) => JSON.stringify(task.payload).slice(0, 200);
const lastError = (task: FakeTask) => task.attempts.find((attempt) => attempt.error)?.error ?? null;
const finished = (task: FakeTask) => ["completed", "failed", "dead"].includes(task.state);

export function queueNow(world: World, name: string): Queue {
  const mine = [...world.tasks.values()].filter((task) => task.queue === name);
  const waiting = mine.filter((task) => task.state === "waiting");
  const scheduled = mine.filter((task) => task.state === "scheduled");
  const at = (line: Line) => waiting.filter((task) => task.line === line).length;
  const oldest = waiting.reduce((min, task) => Math.min(min, task.since), Number.POSITIVE_INFINITY);
  const due = scheduled.reduce((min, task) => Math.min(min, task.dueAt), Number.POSITIVE_INFINITY);
  return {
    name,
    paused: world.paused.get(name) ?? null,
    waiting: waiting.length,
    waiting_by: {
      suspects: at("suspects"),
      front: at("front"),
      high: at("high"),
      normal: at("normal"),
      low: at("low"),
    },
    running: mine.filter((task) => task.state === "running").length,
    scheduled: scheduled.length,
    next_due_at: scheduled.length ? iso(due) : null,
    dead: world.dead.filter((task) => task.queue === name).length,
    oldest_ms: waiting.length ? Math.max(0, Math.round(Date.now() - oldest)) : null,
    rates: world.rates(name),
    workers: world.workers.filter((one) => one.facts.status === "active" && one.facts.queues.includes(name)).length,
  };
}

export function overview(world: World): Overview {
  const queues = QUEUES.map((name) => queueNow(world, name));
  const workers = world.workers.map((one) => one.facts);
  const rates: Rates = { enqueued: 0, completed: 0, retried: 0, dead: 0 };
  const scale = 1 + world.storm / 3 / Math.max(1, world.rate);
  for (const queue of queues) {
    if (world.storm)
      queue.rates = {
        ...queue.rates,
        enqueued: queue.rates.enqueued * scale,
        completed: queue.rates.completed * scale,
      };
    for (const name of ["enqueued", "completed", "retried", "dead"] as const) rates[name] += queue.rates[name];
  }
  const sum = (name: "waiting" | "running" | "scheduled" | "dead") =>
    queues.reduce((all, queue) => all + queue[name], 0);
  const with_ = (status: string) => workers.filter((worker) => worker.status === status);
  return {
    at: iso(Date.now()),
    rate_window_s: 10,
    queues,
    totals: {
      waiting: sum("waiting"),
      running: sum("running"),
      scheduled: sum("scheduled"),
      dead: sum("dead"),
      rates,
    },
    workers: {
      active: with_("active").length,
      draining: with_("draining").length,
      lost: with_("lost").length,
      slots: with_("active").reduce((all, worker) => all + (worker.concurrency ?? 0), 0),
      in_flight: with_("active").reduce((all, worker) => all + (worker.in_flight ?? 0), 0),
    },
  };
}

export const letterId = (task: FakeTask): string => `${task.queue}:${task.entry}`;

export function redacted(task: FakeTask): string[] {
  return task.kind.type === "charge_payment" ? ["card.number", "card.token"] : [];
}

export function summary(task: FakeTask): TaskSummary {
  return {
    id: task.id,
    type: task.kind.type,
    queue: task.queue,
    state: task.state,
    priority: task.kind.priority,
    created_at: iso(task.createdAt),
    attempt: task.attempt,
    max_retries: task.kind.maxRetries,
    deaths: task.deaths,
    since: iso(task.since),
    due_at: task.state === "scheduled" ? iso(task.dueAt) : null,
    worker: task.worker || null,
    waited_ms: task.waited || null,
    duration_ms: finished(task) ? (task.attempts[0]?.duration_ms ?? null) : null,
    reason: task.state === "dead" ? task.kind.reason : null,
    error: lastError(task)?.slice(0, 300) ?? null,
    payload_preview: preview(task),
    dead_letter: task.state === "dead" ? letterId(task) : null,
  };
}

export function detail(task: FakeTask, world: World): TaskDetail {
  const live = ["waiting", "running", "scheduled", "dead"].includes(task.state);
  const place: Place = {
    key: world.key(task),
    line: task.state === "waiting" || task.state === "running" ? task.line : null,
    entry: task.state === "scheduled" ? null : task.entry,
  };
  const running = task.state === "running";
  return {
    ...summary(task),
    error: lastError(task),
    payload: task.payload,
    redacted: redacted(task),
    attempts: running
      ? [
          {
            number: task.attempt,
            outcome: "running",
            started_at: iso(task.startedAt),
            duration_ms: null,
            worker_id: task.worker,
            error: null,
            traceback: null,
          },
          ...task.attempts,
        ]
      : task.attempts,
    attempts_left_out: 0,
    timeout_ms: 30_000,
    idempotency_key: task.kind.type === "charge_payment" ? `charge-${String(task.payload.order_id)}` : null,
    place: live ? place : null,
    has_result: task.state === "completed" && task.kind.type.startsWith("reports"),
    result:
      task.state === "completed" && task.kind.type.startsWith("reports")
        ? { url: "s3://reports/2026-10.pdf", pages: 42 }
        : null,
  };
}

export function letter(task: FakeTask): DeadLetter {
  return {
    id: letterId(task),
    queue: task.queue,
    task_id: task.id,
    type: task.kind.type,
    reason: task.kind.reason,
    error: lastError(task)?.slice(0, 300) ?? null,
    group: task.group,
    died_at: iso(task.since),
    created_at: iso(task.createdAt),
    attempt: task.attempt,
    deaths: task.deaths,
    payload_preview: preview(task),
  };
}

export function letterDetail(task: FakeTask): DeadLetterDetail {
  return {
    ...letter(task),
    error: lastError(task),
    payload: task.payload,
    redacted: redacted(task),
    raw: null,
    attempts: task.attempts,
    attempts_left_out: 0,
    traceback: task.attempts.find((attempt) => attempt.traceback)?.traceback ?? null,
    priority: task.kind.priority,
    max_retries: task.kind.maxRetries,
    timeout_ms: 30_000,
    idempotency_key: null,
  };
}

export function groups(dead: readonly FakeTask[]): DeadLetterGroup[] {
  const found = new Map<string, DeadLetterGroup>();
  for (const task of dead) {
    const group = found.get(task.group);
    if (group) {
      group.count += 1;
      group.first_died_at = iso(task.since);
    } else {
      const { queue, type, reason, error } = letter(task);
      const at = iso(task.since);
      found.set(task.group, {
        group: task.group,
        queue,
        type,
        reason,
        error,
        count: 1,
        first_died_at: at,
        last_died_at: at,
      });
    }
  }
  return [...found.values()].sort((a, b) => b.count - a.count);
}

export function system(world: World, started: number): System {
  const now = Date.now();
  return {
    at: iso(now),
    servers: [
      {
        product: "valkey",
        version: "9.1.2",
        mode: "standalone",
        role: "master",
        address: "redis://:***@valkey.internal:6379/0",
        shards: 1,
        uptime_s: 864_312 + Math.round((now - started) / 1000),
        connected_clients: 14,
        commands_per_s: 612,
        memory_bytes: 41_943_040,
        memory_peak_bytes: 62_914_560,
        memory_limit_bytes: 268_435_456,
        eviction_policy: "noeviction",
        aof: false,
        replicas: 0,
        round_trip_ms: 0.4,
      },
    ],
    api: {
      version: "1.0.0",
      python: "3.12.7",
      packages: { flask: "3.1.2", gevent: "26.9.0", gunicorn: "27.0.0", redis: "8.1.0" },
      hostname: "web-7f9c",
      pid: 17,
      started_at: iso(started),
      streams: world.listeners.size,
      streams_limit: 3000,
    },
    settings: SETTINGS.map(([variable, value, source, help]) => ({ variable, value, source, help })),
    history: {
      length: 10_000,
      kept: world.history.length,
      oldest_at: iso(started),
      sampled: world.sampled,
      per_s: 200,
    },
    warnings: [
      {
        level: "danger",
        text: "The server writes no append-only file: a restart of it loses every task that waits.",
        remedy: "Set appendonly yes in its configuration, or CONFIG SET appendonly yes.",
      },
    ],
  };
}

const SETTINGS: readonly [string, string | null, "default" | "set", string][] = [
  [
    "REDIS_URL",
    "redis://:***@valkey.internal:6379/0",
    "set",
    "Server: `redis://`, `rediss://`, `unix://` or `embedded://`.",
  ],
  ["DURABILITY", "memory", "default", "What an enqueue waits for: `memory`, `replica:N` or `aof`."],
  ["STREAM_NAME", "buraq_tasks", "default", "Base name of all keys, and stream of normal priority."],
  ["GROUP_NAME", "buraq_workers", "default", "Consumer group."],
  ["DLQ_STREAM_NAME", "buraq_tasks_dlq", "default", "Dead-letter stream."],
  ["WORKER_COUNT", "100", "set", "Slots of a worker process: tasks that run at once."],
  [
    "LEASE_TTL",
    "10s",
    "default",
    "A worker process that is silent for this long is dead, and its tasks run elsewhere.",
  ],
  ["SHUTDOWN_TIMEOUT", "25s", "default", "How long a stopping worker lets tasks finish before it hands them back."],
  ["MAX_RETRIES", "3", "default", "Retries after the first attempt."],
  ["RETRY_BACKOFF", "1s", "default", "Wait before the first retry; it doubles each time."],
  ["TASK_TIMEOUT", "30s", "set", "How long an attempt may run."],
  ["HISTORY_LENGTH", "10000", "default", "Finished tasks that are kept to be looked at; 0 keeps none."],
  ["API_PORT", ":8080", "default", "Where the API listens."],
  ["API_KEY", "***", "set", "Bearer key for changes. Without one, from loopback only."],
  ["READ_KEY", null, "default", "Bearer key for reading."],
  ["READ_ONLY", "false", "default", "Refuse all changes."],
  [
    "CORS_ORIGINS",
    "http://localhost:3000",
    "default",
    "Origins that browsers may call from, comma-separated, or `none`.",
  ],
  ["TRUSTED_PROXIES", "1", "set", "How many X-Forwarded-For hops to believe."],
];
