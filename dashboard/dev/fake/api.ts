import type { IncomingMessage, ServerResponse } from "node:http";
import type { AuditEntry, DeadLetterFilter, NewTask, Payload, ReplayEdit, Selection } from "../../src/api/schema.ts";
import { COOKIE, check, KEY, type Modes, Refused, session } from "./access.ts";
import { read, send } from "./json.ts";
import { KINDS, QUEUES } from "./kinds.ts";
import { matching, Operations } from "./operations.ts";
import { detail, groups, letter, letterDetail, letterId, overview, queueNow, summary, system } from "./show.ts";
import { stream } from "./stream.ts";
import { type FakeTask, iso } from "./task.ts";
import { World } from "./world.ts";

interface Call {
  request: IncomingMessage;
  response: ServerResponse;
  query: URLSearchParams;
  at: string[];
  body: unknown;
}

type View = (call: Call) => unknown;

const NOTHING = Symbol("the view has answered by itself");

/** The API of the contract over a world that is made up. */
export class FakeApi {
  readonly world = new World();
  readonly operations = new Operations(this.world);
  readonly audit: AuditEntry[] = [];
  readonly modes: Modes = { server: "ok", access: "open", delay: 0, noStream: false, unlimited: false };
  readonly started = Date.now();
  #views: [method: string, path: RegExp, view: View][] = [];

  constructor() {
    this.#reading();
    this.#acting();
    this.#sessions();
  }

  /** Answer a request below `/`; false when it is none of ours. */
  async handle(request: IncomingMessage, response: ServerResponse, url: URL): Promise<boolean> {
    const { pathname, searchParams } = url;
    if (pathname === "/__fake") return this.#control(request, response);
    if (!pathname.startsWith("/api/") && pathname !== "/metrics") return false;
    if (this.modes.server === "gone") {
      request.socket.destroy();
      return true;
    }
    if (this.modes.delay) await new Promise((go) => setTimeout(go, this.modes.delay));
    try {
      const [view, at] = this.#find(request, pathname);
      const body = request.method === "POST" ? await read(request) : undefined;
      const answer = view({ request, response, query: searchParams, at, body });
      if (answer !== NOTHING) send(response, response.statusCode, answer);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      send(
        response,
        error.status,
        error.field ? { error: error.message, field: error.field } : { error: error.message },
      );
    }
    return true;
  }

  #find(request: IncomingMessage, pathname: string): [View, string[]] {
    const matches = this.#views.filter(([, path]) => path.test(pathname));
    if (!matches.length) throw new Refused(404, `there is no ${pathname}`);
    const found = matches.find(([method]) => method === request.method);
    if (!found) throw new Refused(405, `${request.method} is not allowed here`);
    const always = ["/api/health", "/api/v1/session"].includes(pathname);
    if (!always) check(request, this.modes);
    if (!always && this.modes.server === "away")
      throw new Refused(503, "Redis is not reachable, try again in a moment");
    return [found[2], (found[1].exec(pathname) ?? []).slice(1).map(decodeURIComponent)];
  }

  async #control(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    if (request.method === "POST") {
      const { kill, rate, storm, sampled, ...modes } = (await read(request)) as Partial<Modes> & {
        kill?: string;
        rate?: number;
        storm?: number;
        sampled?: boolean;
      };
      Object.assign(this.modes, modes);
      if (kill) this.world.kill(kill);
      if (rate !== undefined) this.world.rate = rate;
      if (storm !== undefined) this.world.storm = storm;
      if (sampled !== undefined) this.world.sampled = sampled;
    }
    send(response, 200, { ...this.modes, rate: this.world.rate, storm: this.world.storm });
    return true;
  }

  #on(method: string, path: string, view: View): void {
    this.#views.push([method, new RegExp(`^${path.replaceAll(/\{\w+\}/g, "(.+)")}$`), view]);
  }

  #queue(name: string | undefined): string {
    if (name && QUEUES.includes(name as (typeof QUEUES)[number])) return name;
    throw new Refused(404, `there is no queue ${name}`);
  }

  #letter(id: string | undefined): FakeTask {
    const found = this.world.dead.find((task) => letterId(task) === id);
    if (!found) throw new Refused(404, `there is no dead letter ${id}`);
    return found;
  }

  #task(id: string | undefined): FakeTask {
    const found = [this.world.tasks.values(), this.world.dead, this.world.history]
      .flatMap((all) => [...all])
      .find((task) => task.id === id);
    if (!found) throw new Refused(404, `no queue and no history knows a task ${id}`);
    return found;
  }

  #tasks(query: URLSearchParams): FakeTask[] {
    const state = query.get("state") ?? "waiting";
    const live = [...this.world.tasks.values()].filter((task) => task.state === state);
    const found =
      state === "dead"
        ? this.world.dead
        : ["completed", "failed", "cancelled"].includes(state)
          ? this.world.history.filter((task) => task.state === state)
          : live;
    if (state === "scheduled") found.sort((a, b) => a.dueAt - b.dueAt);
    const queue = query.get("queue");
    return queue ? found.filter((task) => task.queue === queue) : found;
  }

  #page<T>(query: URLSearchParams, all: FakeTask[], keep: (task: FakeTask) => boolean, show: (task: FakeTask) => T) {
    const start = Number(query.get("cursor") ?? 0);
    const limit = Number(query.get("limit") ?? 50);
    if (!(limit >= 1 && limit <= 200))
      throw new Refused(422, `limit=${query.get("limit")}: it is a whole number from 1 to 200`, "limit");
    const items: T[] = [];
    let end = start;
    for (; end < all.length && items.length < limit && end - start < 1000; end++) {
      const task = all[end];
      if (task && keep(task)) items.push(show(task));
    }
    return { items, next: end < all.length ? String(end) : null, scanned: end - start, total: all.length };
  }

  #reading(): void {
    const { world } = this;
    this.#on("GET", "/api/health", ({ response }) => {
      const up = this.modes.server === "ok";
      response.statusCode = up ? 200 : 503;
      return { status: up ? "healthy" : "degraded", uptime: "2h34m12s", redis: up };
    });
    this.#on("GET", "/api/stream", ({ request, response, query }) => {
      if (this.modes.noStream) throw new Refused(503, "3 streams are open, and there is no room for more");
      stream(request, response, query, world, () => overview(world), this.modes);
      return NOTHING;
    });
    this.#on("GET", "/api/v1/overview", () => overview(world));
    this.#on("GET", "/api/v1/queues", () => ({
      at: iso(Date.now()),
      rate_window_s: 10,
      queues: overview(world).queues,
    }));
    this.#on("GET", "/api/v1/queues/{queue}", ({ at }) => queueNow(world, this.#queue(at[0])));
    this.#on("GET", "/api/v1/task-types", () => ({
      types: KINDS.map((kind) => ({ type: kind.type, queues: [kind.queue] })),
    }));
    this.#on("GET", "/api/v1/tasks", ({ query }) => {
      const past = ["completed", "failed", "cancelled"].includes(query.get("state") ?? "");
      const fits = (task: FakeTask) =>
        (!query.get("type") || task.kind.type === query.get("type")) &&
        (!query.get("worker") || task.worker === query.get("worker"));
      const page = this.#page(query, this.#tasks(query), fits, summary);
      return { ...page, history: past ? system(world, this.started).history : null };
    });
    this.#on("GET", "/api/v1/tasks/{id}", ({ at }) => detail(this.#task(at[0]), world));
    const filter = (query: URLSearchParams) => Object.fromEntries(query) as DeadLetterFilter;
    this.#on("GET", "/api/v1/dead-letters/groups", ({ query }) => {
      const queue = query.get("queue");
      const dead = queue ? world.dead.filter((task) => task.queue === queue) : world.dead;
      return { groups: groups(dead), grouped: dead.length, total: dead.length, until: iso(Date.now()) };
    });
    this.#on("GET", "/api/v1/dead-letters/export", ({ response, query }) => {
      response.writeHead(200, {
        "Content-Type": "application/x-ndjson",
        "Content-Disposition": 'attachment; filename="dead-letters.jsonl"',
      });
      response.end(
        matching(world, filter(query))
          .map((task) => `${JSON.stringify(letterDetail(task))}\n`)
          .join(""),
      );
      return NOTHING;
    });
    this.#on("GET", "/api/v1/dead-letters", ({ query }) => {
      const wanted = new Set(matching(world, filter(query)));
      return this.#page(query, world.dead, (task) => wanted.has(task), letter);
    });
    this.#on("GET", "/api/v1/dead-letters/{id}", ({ at }) => letterDetail(this.#letter(at[0])));
    this.#on("GET", "/api/v1/operations", () => ({ operations: this.operations.all.slice(0, 50) }));
    this.#on("GET", "/api/v1/operations/{id}", ({ at }) => this.#operation(at[0]));
    this.#on("GET", "/api/v1/workers", () => ({ at: iso(Date.now()), workers: world.workers.map((one) => one.facts) }));
    this.#on("GET", "/api/v1/workers/{id}", ({ at }) => {
      const found = world.workers.find((one) => one.facts.id === at[0]);
      if (!found) throw new Refused(404, `there is no worker process ${at[0]}`);
      return found.facts;
    });
    this.#on("GET", "/api/v1/statistics", ({ query }) =>
      world.past.statistics(query.get("window") === "day" ? "day" : "hour", query.get("queue")),
    );
    this.#on("GET", "/api/v1/audit", () => ({ items: this.audit, next: null }));
    this.#on("GET", "/api/v1/system", () => system(world, this.started));
  }

  #operation(id: string | undefined) {
    const found = this.operations.all.find((one) => one.id === id);
    if (!found) throw new Refused(404, `there is no operation ${id}`);
    return found;
  }

  #note(request: IncomingMessage, entry: Pick<AuditEntry, "action"> & Partial<AuditEntry>): string {
    const { who } = session(request, this.modes);
    const at = Date.now();
    this.audit.unshift({
      id: `${at}-${this.audit.length}`,
      at: iso(at),
      who,
      address: "10.1.4.7",
      queue: null,
      target: null,
      count: null,
      note: null,
      ...entry,
    });
    return who;
  }

  #acting(): void {
    const { world } = this;
    this.#on("POST", "/api/v1/queues/{queue}/pause", ({ request, at }) => {
      const queue = this.#queue(at[0]);
      const by = this.#note(request, { action: "pause", queue });
      world.paused.set(queue, { at: iso(Date.now()), by });
      return queueNow(world, queue);
    });
    this.#on("POST", "/api/v1/queues/{queue}/resume", ({ request, at }) => {
      const queue = this.#queue(at[0]);
      this.#note(request, { action: "resume", queue });
      world.paused.delete(queue);
      return queueNow(world, queue);
    });
    this.#on("POST", "/api/v1/tasks", ({ request, response, body }) =>
      this.#enqueue(request, response, body as NewTask),
    );
    this.#on("POST", "/api/v1/tasks/{id}/cancel", ({ request, at }) => {
      const task = this.#task(at[0]);
      if (!["waiting", "scheduled"].includes(task.state))
        throw new Refused(409, `task ${task.id} is ${task.state}: only what waits can be cancelled`);
      this.#note(request, { action: "cancel", queue: task.queue, target: task.id });
      world.cancel(task);
      return detail(task, world);
    });
    for (const kind of ["replay", "delete"] as const) {
      this.#on("POST", `/api/v1/dead-letters/${kind}`, ({ request, response, body }) => {
        const selection = body as Selection;
        response.statusCode = 202;
        const [filter, ids] = "ids" in selection ? [null, selection.ids] : [selection.filter, []];
        const target = filter
          ? Object.entries(filter)
              .map(([name, value]) => `${name}=${value}`)
              .join(" ") || "all"
          : `${ids.length} chosen`;
        const by = session(request, this.modes).who;
        const until = "until" in selection && selection.until ? Date.parse(selection.until) : undefined;
        const operation = this.operations.begin(kind, filter, ids, by, until);
        this.#note(request, { action: kind, target, count: operation.total });
        return { ...operation };
      });
    }
    this.#on("POST", "/api/v1/dead-letters/{id}/replay", ({ request, at, body }) => {
      const task = this.#letter(at[0]);
      const { payload } = (body ?? {}) as ReplayEdit;
      this.#note(request, { action: payload ? "edit_and_replay" : "replay", queue: task.queue, target: task.id });
      world.replay(task, payload as Payload | undefined);
      return { id: task.id, type: task.kind.type, queue: task.queue, created: true, known_type: true };
    });
    this.#on("DELETE", "/api/v1/dead-letters/{id}", ({ request, response, at }) => {
      const task = this.#letter(at[0]);
      world.dead.splice(world.dead.indexOf(task), 1);
      this.#note(request, { action: "delete", queue: task.queue, target: task.id });
      response.statusCode = 204;
    });
    this.#on("POST", "/api/v1/operations/{id}/stop", ({ request, at }) => {
      const operation = this.#operation(at[0]);
      if (operation.state !== "running") throw new Refused(409, `operation ${operation.id} has ended`);
      operation.state = "stopped";
      this.#note(request, { action: "stop_operation", target: operation.id });
      return operation;
    });
  }

  #enqueue(request: IncomingMessage, response: ServerResponse, asked: NewTask) {
    if (!asked.type) throw new Refused(422, "type is missing: it is the name of a task type", "type");
    const queue = asked.queue ?? "default";
    if (!QUEUES.includes(queue as (typeof QUEUES)[number]))
      throw new Refused(422, `queue=${queue}: there is none of that name`, "queue");
    const known = KINDS.find((kind) => kind.type === asked.type);
    const kind = known ?? KINDS[0];
    if (!kind) throw new Error("no kinds");
    const task = this.world.enqueue({ ...kind, type: asked.type }, Date.now(), {
      queue,
      ...(asked.payload && { payload: asked.payload }),
      ...(asked.delay_ms && { dueAt: Date.now() + asked.delay_ms }),
    });
    this.#note(request, { action: "enqueue", queue, target: task.id });
    response.statusCode = 201;
    return { id: task.id, type: asked.type, queue, created: true, known_type: Boolean(known) };
  }

  #sessions(): void {
    this.#on("GET", "/api/v1/session", ({ request }) => session(request, this.modes));
    this.#on("POST", "/api/v1/session", ({ request, response, body }) => {
      if ((body as { key?: string }).key !== KEY) throw new Refused(401, "Invalid or missing API key");
      response.setHeader("Set-Cookie", `${COOKIE}=fake; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200`);
      request.headers.cookie = `${COOKIE}=fake`;
      this.#note(request, { action: "sign_in" });
      return session(request, this.modes);
    });
    this.#on("DELETE", "/api/v1/session", ({ response }) => {
      response.setHeader("Set-Cookie", `${COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0`);
      response.statusCode = 204;
    });
  }
}
