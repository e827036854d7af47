import type { DeadLetterFilter, Operation } from "../../src/api/schema.ts";
import { letterId } from "./show.ts";
import { type FakeTask, iso } from "./task.ts";
import type { World } from "./world.ts";

const PER_STEP = 14;
const STEP_MS = 60;

export function matching(world: World, filter: DeadLetterFilter): FakeTask[] {
  return world.dead.filter(
    (task) =>
      (!filter.queue || task.queue === filter.queue) &&
      (!filter.type || task.kind.type === filter.type) &&
      (!filter.reason || task.kind.reason === filter.reason) &&
      (!filter.group || task.group === filter.group),
  );
}

/** Work on many dead letters, slowly enough to be seen. */
export class Operations {
  readonly all: Operation[] = [];
  #world: World;

  constructor(world: World) {
    this.#world = world;
  }

  begin(
    kind: Operation["kind"],
    filter: DeadLetterFilter | null,
    ids: readonly string[],
    by: string,
    until = Number.POSITIVE_INFINITY,
  ): Operation {
    const tasks = filter
      ? matching(this.#world, filter).filter((task) => task.since <= until)
      : ids.map((id) => this.#world.dead.find((task) => letterId(task) === id));
    const operation: Operation = {
      id: this.#world.random.hex(12),
      kind,
      state: "running",
      filter,
      total: tasks.length,
      seen: 0,
      done: 0,
      skipped: { gone: 0, owned: 0, unreadable: 0 },
      by,
      started_at: iso(Date.now()),
      updated_at: iso(Date.now()),
      ended_at: null,
      error: null,
    };
    this.all.unshift(operation);
    const timer = setInterval(() => {
      for (const task of tasks.splice(0, PER_STEP)) this.#take(operation, task);
      operation.updated_at = iso(Date.now());
      if (operation.state === "running" && tasks.length) return;
      clearInterval(timer);
      if (operation.state === "running") operation.state = "done";
      operation.ended_at = iso(Date.now());
    }, STEP_MS);
    return operation;
  }

  #take(operation: Operation, task: FakeTask | undefined): void {
    operation.seen += 1;
    if (!task || !this.#world.dead.includes(task)) operation.skipped.gone += 1;
    else if (operation.kind === "replay") operation.done += this.#world.replay(task) ? 1 : 0;
    else {
      this.#world.dead.splice(this.#world.dead.indexOf(task), 1);
      operation.done += 1;
    }
  }
}
