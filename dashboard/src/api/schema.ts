// Written by scripts/api-types.mjs from buraq/web/openapi.json. Change that, then run `npm run types`.

/** What every answer of 400 and above holds. */
export type Error = {
  /** What is wrong, for people: names the thing, its value, and what to do. */
  error: string;
  /** The parameter or body member that is wrong, with a path into the body where it is nested. Only with 422 and 413. */
  field?: string;
};

/** Where a task is. `scheduled`: due later, a delayed task or a retry. `waiting`: in a stream. `running`: handed to a worker process. `dead`: it was given up. These four are read from where the task lies. `completed`, `failed` (an attempt failed, and another follows or followed) and `cancelled` come from the history, which holds the newest of them. */
export type State = "scheduled" | "waiting" | "running" | "completed" | "failed" | "dead" | "cancelled";

/** Which of the queue's three streams a producer adds to. */
export type Priority = "high" | "normal" | "low";

/** One of the five streams of a queue, in the order in which workers read them. `front` holds what had started and was handed back; `suspects` what ran in processes that died, twice or more. */
export type Line = "suspects" | "front" | "high" | "normal" | "low";

/** Why a task was given up. `exhausted`: no retries left. `not_retryable`: its error is none that is retried. `rejected`: it said so itself. `crashed`: its process died too often. `unknown_type`: no live worker knows its type. `undecodable`: the entry holds no task that can be read. Later versions may add words. */
export type Reason = "exhausted" | "not_retryable" | "rejected" | "crashed" | "unknown_type" | "undecodable";

/** The arguments of the task function, by name. Values whose name looks like a secret read `[redacted]`; `redacted` lists where. Numbers are written as they were enqueued, so whole numbers beyond 2^53 are exact in the text of the answer; a reader that turns them into doubles is not. */
export type Payload = Record<string, unknown>;

/** Paths into the payload whose values are hidden. */
export type Redacted = string[];

/** Means over the last `rate_window_s` seconds, in tasks a second. An attempt that ends is counted as exactly one of completed, retried and dead. */
export type Rates = {
  /** Accepted tasks a second; replayed dead letters and tasks that became due are not counted again. */
  enqueued: number;
  /** Tasks a second that returned. */
  completed: number;
  /** Attempts a second that failed and are made again. */
  retried: number;
  /** Tasks a second that were given up. */
  dead: number;
};

/** As `Rates`, for what one worker process finished. */
export type WorkerRates = {
  /** Tasks a second that returned. */
  completed: number;
  /** Attempts a second that failed and are made again. */
  retried: number;
  /** Tasks a second that were given up. */
  dead: number;
};

/** Waiting tasks by stream. */
export type WaitingByLine = {
  /** Waiting in `suspects`. */
  suspects: number;
  /** Waiting in `front`. */
  front: number;
  /** Waiting in `high`. */
  high: number;
  /** Waiting in `normal`. */
  normal: number;
  /** Waiting in `low`. */
  low: number;
};

/** Since when, and by whom, a queue is paused. */
export type Pause = {
  /** When it was paused. */
  at: string;
  /** Who paused it, as in the audit list. */
  by: string;
};

/** A queue now. */
export type Queue = {
  /** Its name. */
  name: string;
  /** Set while workers fetch nothing from it; null when it is not paused. */
  paused: Pause | null;
  /** Tasks that wait in its streams. */
  waiting: number;
  /** The same, by stream; the sum is `waiting`. */
  waiting_by: WaitingByLine;
  /** Tasks that worker processes hold. */
  running: number;
  /** Tasks that are due later, retries included. */
  scheduled: number;
  /** When the first of them is due; null for none. */
  next_due_at: string | null;
  /** Dead letters. */
  dead: number;
  /** For how many milliseconds the longest waiting task has waited; null when none waits. */
  oldest_ms: number | null;
  rates: Rates;
  /** Active worker processes that read it. */
  workers: number;
  /** Keys of it that hold another type of value than Buraq's, because something else has overwritten them. What they would say is 0 or null here. Left out where there are none. */
  broken?: string[];
};

/** Keys that hold another type of value than Buraq's, because something else has overwritten them. What they would say is not in this answer. Left out where there are none. */
export type Broken = string[];

/** All queues. */
export type QueueList = {
  /** The server's clock when this was read. */
  at: string;
  /** Over how many seconds `rates` are means. */
  rate_window_s: number;
  /** The default one first, the others by name. */
  queues: Queue[];
};

/** Sums over all queues. */
export type Totals = {
  /** Tasks that wait. */
  waiting: number;
  /** Tasks that run. */
  running: number;
  /** Tasks that are due later. */
  scheduled: number;
  /** Dead letters. */
  dead: number;
  rates: Rates;
};

/** The worker processes, counted. */
export type WorkerCounts = {
  /** Processes whose lease holds and that take tasks. */
  active: number;
  /** Processes that finish what they hold and take no more. */
  draining: number;
  /** Processes whose lease ran out in the last minutes. */
  lost: number;
  /** Slots of the active ones: tasks that can run at once. */
  slots: number;
  /** Tasks that the active and draining ones run: what the server has handed to them and they have not settled. */
  in_flight: number;
};

/** The whole at one moment: the answer of `GET /api/v1/overview`, and the data of `event: stats`. */
export type Overview = {
  /** The server's clock when this was read; what is shown as an age counts from here. */
  at: string;
  /** Over how many seconds `rates` are means. */
  rate_window_s: number;
  /** The default one first, the others by name. */
  queues: Queue[];
  totals: Totals;
  workers: WorkerCounts;
};

/** One run of a task. Of an attempt that is under way nothing but its number, start and worker is known. */
export type Attempt = {
  /** Counted from 1. A death keeps its number: the run that follows it has the same one. */
  number: number;
  /** How it ended. `died`: the process ended while the task ran in it; that is charged as a death, not as an attempt. `snoozed`: it asked to be put off, which charges nothing. */
  outcome: "running" | "completed" | "failed" | "died" | "snoozed";
  /** When it started; null where only its end is known. */
  started_at: string | null;
  /** How long it ran, in milliseconds; null where that is not known. */
  duration_ms: number | null;
  /** `<worker process>-<slot>`; the worker process alone for `died`, and for one that is under way. */
  worker_id: string;
  /** Type and message of what it raised; null when it raised nothing. */
  error: string | null;
  /** The traceback, where it was kept: for the newest failed attempt. */
  traceback: string | null;
};

/** A task, as lists show it. */
export type TaskSummary = {
  /** Its id: 32 hex digits that sort by age, or any text of 1 to 512 characters that a producer chose. */
  id: string;
  /** The name it is dispatched by. */
  type: string;
  /** The queue it belongs to. */
  queue: string;
  state: State;
  priority: Priority;
  /** When it was enqueued, by the producer's clock; null where the producer wrote none. */
  created_at: string | null;
  /** Number of the run that is under way, comes next or, for a finished task, was the last one. */
  attempt: number;
  /** Retries after the first attempt: at most `max_retries` + 1 attempts. */
  max_retries: number;
  /** How often a process ended while this task ran in it. */
  deaths: number;
  /** Since when it is in this state: when it was added to its stream, started, given up, or ended. Null where that is not known. */
  since: string | null;
  /** When it is due. Of scheduled tasks only. */
  due_at: string | null;
  /** The worker process that runs it, or ran the last attempt of a finished one. */
  worker: string | null;
  /** How long the last attempt waited in its stream, in milliseconds. Of finished and running tasks, where known. */
  waited_ms: number | null;
  /** How long the last attempt ran, in milliseconds. Of finished tasks only. */
  duration_ms: number | null;
  /** Why it was given up. Of dead tasks only. */
  reason: Reason | null;
  /** What the last attempt raised, cut to 300 characters in lists. */
  error: string | null;
  /** The payload as JSON, redacted, cut to 200 characters. */
  payload_preview: string;
  /** Id of its dead letter. Of dead tasks that are still kept. */
  dead_letter: string | null;
};

/** Where a task lies on the server. */
export type Place = {
  /** The key that holds it. */
  key: string;
  /** Which stream of the queue that is; null for scheduled and dead tasks. */
  line: Line | null;
  /** Its entry id in that stream; null for a scheduled task. */
  entry: string | null;
};

/** A task with all that is kept of it. */
export type TaskDetail = TaskSummary & {
  payload: Payload;
  redacted: Redacted;
  /** Its attempts, the newest first; the last 20 are kept. One under way is the first. */
  attempts: Attempt[];
  /** How many older attempts are no longer kept. */
  attempts_left_out: number;
  /** How long an attempt may run, in milliseconds; null for no limit. */
  timeout_ms: number | null;
  /** Its idempotency key. */
  idempotency_key: string | null;
  /** Where it lies; null for a task that is known from the history alone. */
  place: Place | null;
  /** Whether what it returned is kept. */
  has_result: boolean;
  /** What it returned, redacted like the payload; null without a kept result. */
  result: unknown;
  /** Whether the payload reads `{}` because it was too large for the history (4 KiB). */
  payload_left_out?: boolean;
};

/** How much of the past the history holds. */
export type History = {
  /** How many tasks it may hold: `HISTORY_LENGTH` completed, failed, dead and cancelled ones of each queue; 0 means it is off. With a list: of the list's state and queues. */
  length: number;
  /** How many it holds; with a list, of the list's state and queues. */
  kept: number;
  /** When the oldest of them ended; null when it is empty. */
  oldest_at: string | null;
  /** Whether completed tasks were left out, within what it spans, because more than `per_s` completed in a second. Failed, dead and cancelled ones are never left out. */
  sampled: boolean;
  /** How many completed tasks a second each worker process keeps at most. */
  per_s: number;
};

/** A page of tasks. */
export type TaskPage = {
  /** What was found, at most `limit`. May be fewer, or none, while `next` is set: a page also ends after 1,000 entries looked at, 4 MB read, or 15 ms. */
  items: TaskSummary[];
  /** Cursor of the next page; null when there is none. Opaque, and good for as long as what it points to lives: after that it goes on at the next one. */
  next: string | null;
  /** How many entries were looked at for this page. */
  scanned: number;
  /** How many there are in all, before `type` and the like leave some out; null where nobody counts. */
  total: number | null;
  /** Set where the page was read from the history; null else. */
  history: History | null;
  broken?: Broken;
};

/** A task to be enqueued. */
export type NewTask = {
  /** Task type. */
  type: string;
  /** Arguments of the task function, by name. `{}` when left out. */
  payload?: Record<string, unknown>;
  /** Queue; `default` when left out. */
  queue?: string;
  priority?: Priority;
  /** Run it that many milliseconds later. Not together with `due_at`. */
  delay_ms?: number;
  /** Run it at that time. Not together with `delay_ms`. */
  due_at?: string;
  /** Retries after the first attempt; `MAX_RETRIES` when left out. */
  max_retries?: number;
  /** How long an attempt may run, in milliseconds; `TASK_TIMEOUT` when left out. */
  timeout_ms?: number;
  /** Its id; made when left out. While a task of that id exists in the queue, it is not added again. */
  id?: string;
  /** Added once in 24 hours, whatever its id. */
  idempotency_key?: string;
  /** In a cluster all tasks of one group lie on one shard, if they have no idempotency key; on one server it changes nothing. */
  group?: string;
};

/** What an enqueue or a replay made. */
export type TaskRef = {
  /** Id of the task; of the one that exists when it was deduplicated. */
  id: string;
  /** Its type. */
  type: string;
  /** Its queue. */
  queue: string;
  /** Whether it was added. False: same id or same idempotency key as a task that exists. */
  created: boolean;
  /** Whether a live worker process knows the type. False is a warning: the task waits until one does, and goes to the dead letters when none does for long. */
  known_type: boolean;
};

/** A task type that live worker processes know. */
export type TaskType = {
  /** Its name. */
  type: string;
  /** The queues whose workers know it. */
  queues: string[];
};

/** The task types that live worker processes know, by name; at most 1,000. */
export type TaskTypeList = {
  /** By name. */
  types: TaskType[];
  broken?: Broken;
};

/** A task that was given up, as lists show it. */
export type DeadLetter = {
  /** Id of the dead letter; opaque. Not the task's: what cannot be read has none. */
  id: string;
  /** Its queue. */
  queue: string;
  /** Id of the task; null when the entry cannot be read. */
  task_id: string | null;
  /** Type of the task; null when the entry cannot be read. */
  type: string | null;
  reason: Reason;
  /** Type and message of its last error, cut to 300 characters in lists; null when it raised nothing. */
  error: string | null;
  /** The group it belongs to; empty for one that is counted in none. */
  group: string;
  /** When it was given up, by the server's clock. */
  died_at: string;
  /** When the task was enqueued. */
  created_at: string | null;
  /** Number of its last attempt; 0 when it never ran. */
  attempt: number;
  /** How often a process ended while it ran in it. */
  deaths: number;
  /** The payload as JSON, redacted, cut to 200 characters; `raw` when it cannot be read. */
  payload_preview: string;
};

/** A dead letter with all that is kept of it. */
export type DeadLetterDetail = DeadLetter & {
  /** Null when the entry cannot be read. */
  payload: Payload | null;
  redacted: Redacted;
  /** The entry when it cannot be read, redacted as far as it looks like JSON, cut to 64 KiB; null else. */
  raw: string | null;
  /** Its attempts, the newest first; the last 20 are kept. */
  attempts: Attempt[];
  /** How many older attempts are no longer kept. */
  attempts_left_out: number;
  /** Traceback of its last error. */
  traceback: string | null;
  priority: Priority;
  /** Retries it had. */
  max_retries: number;
  /** How long an attempt may run, in milliseconds. */
  timeout_ms: number | null;
  /** Its idempotency key. */
  idempotency_key: string | null;
};

/** A page of dead letters, the newest first. */
export type DeadLetterPage = {
  /** What was found, at most `limit`. May be fewer, or none, while `next` is set: a page also ends after 1,000 entries looked at, 4 MB read, or 15 ms. */
  items: DeadLetter[];
  /** Cursor of the next page; null when there is none. Opaque, and good for as long as what it points to lives: after that it goes on at the next one. */
  next: string | null;
  /** How many entries were looked at for this page. */
  scanned: number;
  /** How many there are in all, before `type` and the like leave some out; null where nobody counts. */
  total: number | null;
  broken?: Broken;
};

/** The dead letters of one queue that have task type, reason and error in common. Digits, hex and quoted texts of the message do not tell errors apart. */
export type DeadLetterGroup = {
  /** Its id, to filter by; the same as long as type, reason and error are. */
  group: string;
  /** Their queue. */
  queue: string;
  /** Their task type; null for what cannot be read. */
  type: string | null;
  reason: Reason;
  /** The newest one's error, cut to 300 characters. */
  error: string | null;
  /** How many there are. */
  count: number;
  /** When the first one died, of those that there are or were since the group was last empty. */
  first_died_at: string;
  /** When the newest one died. */
  last_died_at: string;
};

/** The groups, the largest first. */
export type DeadLetterGroupList = {
  /** At most 500. */
  groups: DeadLetterGroup[];
  /** Sum of the groups, those beyond 500 included. */
  grouped: number;
  /** Dead letters in all. More than `grouped` when some died after a thousand groups were counted, or came from a version that did not count groups, or from the original: they are in the list, and in no group. */
  total: number;
  /** How far was counted; opaque. A replay or deletion that is given it takes nothing that died later. */
  until: string;
  broken?: Broken;
};

/** Which dead letters. What is left out does not matter; `{}` means all. */
export type DeadLetterFilter = {
  /** Of this queue. */
  queue?: string;
  /** Of this task type. */
  type?: string;
  reason?: Reason;
  /** Of this group. */
  group?: string;
};

/** Which dead letters an operation is for: those named, or all that match a filter and are there when it starts. */
export type Selection = {
  /** Ids of dead letters. Ones that are gone meanwhile are skipped, and counted. */
  ids: string[];
} | {
  filter: DeadLetterFilter;
  /** The `until` of an answer with groups: only what was there to be counted then is taken, and nothing of a queue that was not asked for. Left out: what is there when it starts. */
  until?: string;
};

/** What to change before a dead letter is replayed. */
export type ReplayEdit = {
  /** The payload to run with instead. A value that still reads `[redacted]` at one of the `redacted` paths keeps what is stored; where nothing is, or it may be one of several, it is refused. Left out: as it is. */
  payload?: Record<string, unknown>;
};

/** Dead letters that an operation came to and left alone. */
export type Skipped = {
  /** Somebody else had replayed or deleted them. */
  gone: number;
  /** Another task owns their idempotency key; they stay. Replay only. */
  owned: number;
  /** The entry holds no task; they stay. Replay only. */
  unreadable: number;
};

/** Work on many dead letters. It runs in the API, in batches that are atomic each, and its state is kept on the server: any API process answers for it, and when the one that works on it ends, another takes over at the next question. It is remembered for a day after its end. */
export type Operation = {
  /** Its id. */
  id: string;
  /** What is done. */
  kind: "replay" | "delete";
  /** `stopped`: somebody asked for that; what was done is done. `failed`: `error` says why; asking again does the rest. */
  state: "running" | "done" | "stopped" | "failed";
  /** What it was asked for; null when ids were named. */
  filter: DeadLetterFilter | null;
  /** How many dead letters it will have looked at in the end. Those that die meanwhile are left alone. */
  total: number;
  /** How many it has looked at. `seen` of `total` is the progress. */
  seen: number;
  /** How many it replayed or deleted. */
  done: number;
  skipped: Skipped;
  /** Who asked, as in the audit list. */
  by: string;
  /** When it began. */
  started_at: string;
  /** When it last moved on. */
  updated_at: string;
  /** When it ended; null while it runs. */
  ended_at: string | null;
  /** Why it failed, or what it had to leave out. */
  error: string | null;
};

/** The operations that are remembered, the newest first; at most 50. */
export type OperationList = {
  /** The newest first. */
  operations: Operation[];
};

/** A worker process. What it did not say of itself is null. */
export type Worker = {
  /** Its name: `CONSUMER_NAME` and a suffix that is new with each start. */
  id: string;
  /** `draining`: it finishes what it holds. `lost`: its lease ran out; it is shown for some minutes. */
  status: "active" | "draining" | "lost";
  /** Its host. */
  hostname: string | null;
  /** Its process id there. */
  pid: number | null;
  /** Its version of Buraq. */
  version: string | null;
  /** When it started. */
  started_at: string | null;
  /** When it last renewed its lease. */
  seen_at: string;
  /** The queues it reads. */
  queues: string[];
  /** Its slots: how many tasks it can run at once. */
  concurrency: number | null;
  /** How many it runs: what the server has handed to it and it has not settled. Of a lost one what nobody has taken over yet. */
  in_flight: number | null;
  /** CPU, in percent of one core. */
  cpu_percent: number | null;
  /** Resident memory, in bytes. */
  memory_bytes: number | null;
  /** The longest time, of the last minute, for which one greenlet let no other run, in milliseconds. */
  hub_lag_ms: number | null;
  /** What it finishes, in tasks a second. */
  rates: WorkerRates | null;
  broken?: Broken;
};

/** The worker processes, those included that were lost a short while ago. */
export type WorkerList = {
  /** The server's clock when this was read. */
  at: string;
  /** By id. */
  workers: Worker[];
  broken?: Broken;
};

/** Percentiles in milliseconds, one value a step. Read off a histogram with fixed bounds, so they are right to about a tenth. */
export type PercentileSeries = {
  /** Median of each step; null where nothing ended. */
  p50: Array<number | null>;
  /** 95th percentile. */
  p95: Array<number | null>;
  /** 99th percentile. */
  p99: Array<number | null>;
};

/** Percentiles in milliseconds over the whole window. */
export type Percentiles = {
  /** Median; null where nothing ended. */
  p50: number | null;
  /** 95th percentile. */
  p95: number | null;
  /** 99th percentile. */
  p99: number | null;
};

/** Counts, one value a step. */
export type CountSeries = {
  /** Tasks accepted. */
  enqueued: number[];
  /** Tasks that returned. */
  completed: number[];
  /** Attempts that failed and are made again. */
  retried: number[];
  /** Tasks given up. */
  dead: number[];
};

/** Counts over the whole window. */
export type Counts = {
  /** Tasks accepted. */
  enqueued: number;
  /** Tasks that returned. */
  completed: number;
  /** Attempts that failed and are made again. */
  retried: number;
  /** Tasks given up. */
  dead: number;
};

/** What happened in the last hour or day, from counters on the server. All series have the same length; the last step is the one under way, and is not full yet. */
export type Statistics = {
  /** The server's clock when this was read. */
  at: string;
  /** What was asked for. */
  window: "hour" | "day";
  /** The queue these are of; null for all together. */
  queue: string | null;
  /** When the first step begins; the n-th begins `n * step_s` later, from 0. */
  start: string;
  /** Length of a step in seconds: 60 for the hour, 300 for the day. */
  step_s: number;
  counts: CountSeries;
  /** How long attempts ran. */
  run_ms: PercentileSeries;
  /** How long tasks waited in their stream before an attempt started. */
  wait_ms: PercentileSeries;
  /** Over the whole window. */
  totals: {
    counts: Counts;
    run_ms: Percentiles;
    wait_ms: Percentiles;
  };
  broken?: Broken;
};

/** Who asks, and what they may. */
export type Session = {
  /** How the audit list names them: `API key`, `READ key`, `loopback`, `anybody`, or what a host app's `authorize=` returned. */
  who: string;
  /** Whether a session cookie or a bearer key was sent and is good. */
  signed_in: boolean;
  /** Whether they may read. When false, everything but this endpoint answers 401 or 403. */
  may_read: boolean;
  /** Whether they may change anything. When false a page shows no actions. */
  may_change: boolean;
  /** Why they may not change, or not read: a sentence to be shown. Null when they may both. */
  why_not: string | null;
  /** Whether signing in with a key would help: a key is set, and this is not its session yet. */
  can_sign_in: boolean;
  /** Whether `READ_ONLY` is set: nobody may change anything here. */
  read_only: boolean;
  /** When the session cookie ends; null without one. */
  expires_at: string | null;
};

/** A key to sign in with. */
export type SignIn = {
  /** `API_KEY` or `READ_KEY`. */
  key: string;
};

/** One action that somebody took. */
export type AuditEntry = {
  /** Its id. */
  id: string;
  /** When, by the server's clock. */
  at: string;
  /** Who, as in `Session.who`. */
  who: string;
  /** The address they came from, by `TRUSTED_PROXIES`; empty where it is not known. */
  address: string;
  /** What. Later versions may add words. */
  action: "sign_in" | "sign_in_refused" | "enqueue" | "cancel" | "pause" | "resume" | "replay" | "edit_and_replay" | "delete" | "stop_operation";
  /** The queue; null where it concerns several or none. */
  queue: string | null;
  /** To what: an id, or the filter in words. */
  target: string | null;
  /** How many tasks or dead letters; null where it is one or none. Of an operation it stands in its second action. */
  count: number | null;
  /** What else is worth keeping. An operation is two actions, one when it begins and one at its end, and says here which. */
  note: string | null;
};

/** A page of the audit list, the newest first. The newest 10,000 are kept. */
export type AuditPage = {
  /** The newest first. */
  items: AuditEntry[];
  /** Cursor of the next page; null when there is none. */
  next: string | null;
};

/** A Redis or Valkey server. What it does not tell, as some hosted ones do, is null. */
export type ServerFacts = {
  /** Which of the two. */
  product: "redis" | "valkey";
  /** Its version. */
  version: string | null;
  /** `standalone`, `sentinel` or `cluster`. */
  mode: string | null;
  /** `master` or `replica`. */
  role: string | null;
  /** Where it is, without its password. */
  address: string;
  /** How many shards of the queues lie on it; without a cluster there is one. */
  shards: number;
  /** How long it has run, in seconds. */
  uptime_s: number | null;
  /** Its connections. */
  connected_clients: number | null;
  /** Commands that it runs a second. */
  commands_per_s: number | null;
  /** Memory that it uses, in bytes. */
  memory_bytes: number | null;
  /** Most that it ever used. */
  memory_peak_bytes: number | null;
  /** `maxmemory`; null for no limit. */
  memory_limit_bytes: number | null;
  /** `maxmemory-policy`; anything but `noeviction` may lose tasks. */
  eviction_policy: string | null;
  /** Whether it writes an append-only file; without one a restart loses tasks. */
  aof: boolean | null;
  /** Its replicas. */
  replicas: number | null;
  /** How long a PING from this API process took, in milliseconds. */
  round_trip_ms: number;
};

/** The API process that answered. */
export type ApiFacts = {
  /** Its version of Buraq. */
  version: string;
  /** Its version of Python. */
  python: string;
  /** Versions of what it stands on. */
  packages: Record<string, string>;
  /** Its host. */
  hostname: string;
  /** Its process id. */
  pid: number;
  /** When it started. */
  started_at: string;
  /** Event streams that are open in it. */
  streams: number;
  /** How many may be. */
  streams_limit: number;
};

/** One setting in force. */
export type Setting = {
  /** The variable that sets it; the winning one where there are several. */
  variable: string;
  /** Its value as it would be written; secrets read `***`, and passwords in URLs too. Null for none. */
  value: string | null;
  /** Whether it was set. */
  source: "default" | "set";
  /** What it does, in Markdown of one line. */
  help: string;
};

/** Something that an operator should change. */
export type Warning = {
  /** `danger`: tasks can be lost. */
  level: "warning" | "danger";
  /** What is wrong. */
  text: string;
  /** What to do. */
  remedy: string;
};

/** Servers, API process, settings. */
export type System = {
  /** The first server's clock when this was read. */
  at: string;
  /** The server; of a cluster each master that a shard of the queues lies on. */
  servers: ServerFacts[];
  api: ApiFacts;
  /** All settings, in the order of the docs. */
  settings: Setting[];
  history: History;
  /** The worst first; empty when all is well. */
  warnings: Warning[];
};

/** One change of a task, as it is published. */
export type Event = {
  /** `Pending`: it is in a stream. `Processing`: an attempt started. `Completed`. `Failed`: an attempt failed, and another follows. `DLQ`: it was given up. */
  type: "Pending" | "Processing" | "Completed" | "Failed" | "DLQ";
  /** The task; empty for one that cannot be read. */
  task_id: string;
  /** `<worker process>-<slot>`; empty where no worker did it. */
  worker_id: string;
  /** Its type. */
  task_type?: string;
  /** Its queue. */
  queue?: string;
  /** The server's clock in microseconds since 1970; also the id of the event. */
  at?: number;
  /** Number of the attempt. */
  attempt?: number;
  /** How long the attempt ran, in milliseconds. */
  duration_ms?: number;
  /** What it raised. */
  error?: string;
  /** How often a process ended while it ran. */
  deaths?: number;
};

/** Whether the API and its server work. */
export type Health = {
  /** In a word. */
  status: "healthy" | "degraded";
  /** How long the API has run. */
  uptime: string;
  /** Whether the server answers. */
  redis: boolean;
};

/** A worker process, as the original's endpoint has it. */
export type WorkerNode = {
  /** Its name. */
  id: string;
  /** Percent of one core. */
  cpu: number | null;
  /** MB. */
  memory: number | null;
  /** active, draining or lost. */
  status: string;
  /** Tasks it runs, by the server's count. */
  in_flight: number | null;
  /** Its slots. */
  concurrency: number | null;
  /** Its host. */
  hostname: string | null;
  /** Its process id. */
  pid: number | null;
  /** When it started. */
  started_at: string | null;
  /** The queues it reads. */
  queues: string[];
  /** Its version. */
  version: string | null;
};

/** How many dead letters went back. */
export type Retried = {
  /** Always true. */
  success: boolean;
  /** How many went back. */
  retried: number;
  /** How many stay. */
  skipped: {
    /** What cannot be read. */
    unreadable: number;
    /** What another task's idempotency key keeps. */
    owned: number;
  };
};

export interface Operations {
  /** The whole at one moment */
  getOverview: {
    method: "GET";
    path: "/api/v1/overview";
    at: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Overview;
  };
  /** All queues */
  listQueues: {
    method: "GET";
    path: "/api/v1/queues";
    at: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: QueueList;
  };
  /** One queue */
  getQueue: {
    method: "GET";
    path: "/api/v1/queues/{queue}";
    at: { queue: string };
    query: Record<never, never>;
    body: undefined;
    answer: Queue;
  };
  /** Pause a queue */
  pauseQueue: {
    method: "POST";
    path: "/api/v1/queues/{queue}/pause";
    at: { queue: string };
    query: Record<never, never>;
    body: undefined;
    answer: Queue;
  };
  /** Resume a queue */
  resumeQueue: {
    method: "POST";
    path: "/api/v1/queues/{queue}/resume";
    at: { queue: string };
    query: Record<never, never>;
    body: undefined;
    answer: Queue;
  };
  /** Tasks in one state */
  listTasks: {
    method: "GET";
    path: "/api/v1/tasks";
    at: Record<never, never>;
    query: { state?: State; queue?: string; type?: string; worker?: string; cursor?: string; limit?: number };
    body: undefined;
    answer: TaskPage;
  };
  /** Enqueue a task */
  enqueueTask: {
    method: "POST";
    path: "/api/v1/tasks";
    at: Record<never, never>;
    query: Record<never, never>;
    body: NewTask;
    answer: TaskRef;
  };
  /** One task */
  getTask: {
    method: "GET";
    path: "/api/v1/tasks/{id}";
    at: { id: string };
    query: { queue?: string };
    body: undefined;
    answer: TaskDetail;
  };
  /** Cancel a waiting or scheduled task */
  cancelTask: {
    method: "POST";
    path: "/api/v1/tasks/{id}/cancel";
    at: { id: string };
    query: { queue?: string };
    body: undefined;
    answer: TaskDetail;
  };
  /** Task types that live workers know */
  listTaskTypes: {
    method: "GET";
    path: "/api/v1/task-types";
    at: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: TaskTypeList;
  };
  /** Dead letters */
  listDeadLetters: {
    method: "GET";
    path: "/api/v1/dead-letters";
    at: Record<never, never>;
    query: { queue?: string; type?: string; reason?: Reason; group?: string; cursor?: string; limit?: number };
    body: undefined;
    answer: DeadLetterPage;
  };
  /** Dead letters by task type and error */
  listDeadLetterGroups: {
    method: "GET";
    path: "/api/v1/dead-letters/groups";
    at: Record<never, never>;
    query: { queue?: string; group?: string };
    body: undefined;
    answer: DeadLetterGroupList;
  };
  /** Dead letters as JSON lines */
  exportDeadLetters: {
    method: "GET";
    path: "/api/v1/dead-letters/export";
    at: Record<never, never>;
    query: { queue?: string; type?: string; reason?: Reason; group?: string };
    body: undefined;
    answer: undefined;
  };
  /** Replay many */
  replayDeadLetters: {
    method: "POST";
    path: "/api/v1/dead-letters/replay";
    at: Record<never, never>;
    query: Record<never, never>;
    body: Selection;
    answer: Operation;
  };
  /** Delete many, for good */
  deleteDeadLetters: {
    method: "POST";
    path: "/api/v1/dead-letters/delete";
    at: Record<never, never>;
    query: Record<never, never>;
    body: Selection;
    answer: Operation;
  };
  /** One dead letter */
  getDeadLetter: {
    method: "GET";
    path: "/api/v1/dead-letters/{id}";
    at: { id: string };
    query: Record<never, never>;
    body: undefined;
    answer: DeadLetterDetail;
  };
  /** Delete one, for good */
  deleteDeadLetter: {
    method: "DELETE";
    path: "/api/v1/dead-letters/{id}";
    at: { id: string };
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** Replay one, changed or as it is */
  replayDeadLetter: {
    method: "POST";
    path: "/api/v1/dead-letters/{id}/replay";
    at: { id: string };
    query: Record<never, never>;
    body: ReplayEdit;
    answer: TaskRef;
  };
  /** Operations of the last day */
  listOperations: {
    method: "GET";
    path: "/api/v1/operations";
    at: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: OperationList;
  };
  /** One operation */
  getOperation: {
    method: "GET";
    path: "/api/v1/operations/{id}";
    at: { id: string };
    query: Record<never, never>;
    body: undefined;
    answer: Operation;
  };
  /** Stop an operation */
  stopOperation: {
    method: "POST";
    path: "/api/v1/operations/{id}/stop";
    at: { id: string };
    query: Record<never, never>;
    body: undefined;
    answer: Operation;
  };
  /** Worker processes */
  listWorkers: {
    method: "GET";
    path: "/api/v1/workers";
    at: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: WorkerList;
  };
  /** One worker process */
  getWorker: {
    method: "GET";
    path: "/api/v1/workers/{id}";
    at: { id: string };
    query: Record<never, never>;
    body: undefined;
    answer: Worker;
  };
  /** The last hour or day */
  getStatistics: {
    method: "GET";
    path: "/api/v1/statistics";
    at: Record<never, never>;
    query: { window?: "hour" | "day"; queue?: string };
    body: undefined;
    answer: Statistics;
  };
  /** Who I am, and what I may */
  getSession: {
    method: "GET";
    path: "/api/v1/session";
    at: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Session;
  };
  /** Sign in with a key */
  signIn: {
    method: "POST";
    path: "/api/v1/session";
    at: Record<never, never>;
    query: Record<never, never>;
    body: SignIn;
    answer: Session;
  };
  /** Sign out */
  signOut: {
    method: "DELETE";
    path: "/api/v1/session";
    at: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
  /** Who did what */
  listAudit: {
    method: "GET";
    path: "/api/v1/audit";
    at: Record<never, never>;
    query: { cursor?: string; limit?: number };
    body: undefined;
    answer: AuditPage;
  };
  /** Server, versions, settings */
  getSystem: {
    method: "GET";
    path: "/api/v1/system";
    at: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: System;
  };
  /** This document */
  getOpenApi: {
    method: "GET";
    path: "/api/openapi.json";
    at: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Record<string, unknown>;
  };
  /** Whether API and server work */
  getHealth: {
    method: "GET";
    path: "/api/health";
    at: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Health;
  };
  /** Worker processes, as the original shows them */
  getWorkerNodes: {
    method: "GET";
    path: "/api/workers";
    at: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: WorkerNode[];
  };
  /** Events as they happen (server-sent events) */
  streamEvents: {
    method: "GET";
    path: "/api/stream";
    at: Record<never, never>;
    query: { types?: Array<"Pending" | "Processing" | "Completed" | "Failed" | "DLQ" | "stats">; limit?: number };
    body: undefined;
    answer: undefined;
  };
  /** Replay all dead letters of all queues */
  retryDlq: {
    method: "POST";
    path: "/api/retry-dlq";
    at: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: Retried;
  };
  /** Metrics for Prometheus */
  getMetrics: {
    method: "GET";
    path: "/metrics";
    at: Record<never, never>;
    query: Record<never, never>;
    body: undefined;
    answer: undefined;
  };
}

export const ROUTES: { [Name in keyof Operations]: readonly [Operations[Name]["method"], Operations[Name]["path"]] } = {
  getOverview: ["GET", "/api/v1/overview"],
  listQueues: ["GET", "/api/v1/queues"],
  getQueue: ["GET", "/api/v1/queues/{queue}"],
  pauseQueue: ["POST", "/api/v1/queues/{queue}/pause"],
  resumeQueue: ["POST", "/api/v1/queues/{queue}/resume"],
  listTasks: ["GET", "/api/v1/tasks"],
  enqueueTask: ["POST", "/api/v1/tasks"],
  getTask: ["GET", "/api/v1/tasks/{id}"],
  cancelTask: ["POST", "/api/v1/tasks/{id}/cancel"],
  listTaskTypes: ["GET", "/api/v1/task-types"],
  listDeadLetters: ["GET", "/api/v1/dead-letters"],
  listDeadLetterGroups: ["GET", "/api/v1/dead-letters/groups"],
  exportDeadLetters: ["GET", "/api/v1/dead-letters/export"],
  replayDeadLetters: ["POST", "/api/v1/dead-letters/replay"],
  deleteDeadLetters: ["POST", "/api/v1/dead-letters/delete"],
  getDeadLetter: ["GET", "/api/v1/dead-letters/{id}"],
  deleteDeadLetter: ["DELETE", "/api/v1/dead-letters/{id}"],
  replayDeadLetter: ["POST", "/api/v1/dead-letters/{id}/replay"],
  listOperations: ["GET", "/api/v1/operations"],
  getOperation: ["GET", "/api/v1/operations/{id}"],
  stopOperation: ["POST", "/api/v1/operations/{id}/stop"],
  listWorkers: ["GET", "/api/v1/workers"],
  getWorker: ["GET", "/api/v1/workers/{id}"],
  getStatistics: ["GET", "/api/v1/statistics"],
  getSession: ["GET", "/api/v1/session"],
  signIn: ["POST", "/api/v1/session"],
  signOut: ["DELETE", "/api/v1/session"],
  listAudit: ["GET", "/api/v1/audit"],
  getSystem: ["GET", "/api/v1/system"],
  getOpenApi: ["GET", "/api/openapi.json"],
  getHealth: ["GET", "/api/health"],
  getWorkerNodes: ["GET", "/api/workers"],
  streamEvents: ["GET", "/api/stream"],
  retryDlq: ["POST", "/api/retry-dlq"],
  getMetrics: ["GET", "/metrics"],
};
