import type { Attempt, Line, TaskDetail, Worker } from "../../src/api/schema.ts";
import type { Kind } from "./kinds.ts";

/** A task of the fake, with what the API does not show. */
export interface FakeTask {
  id: string;
  kind: Kind;
  queue: string;
  payload: TaskDetail["payload"];
  createdAt: number;
  since: number;
  attempt: number;
  deaths: number;
  attempts: Attempt[];
  line: Line;
  dueAt: number;
  startedAt: number;
  endsAt: number;
  worker: string;
  slot: number;
  entry: string;
  waited: number;
  group: string;
  state: TaskDetail["state"];
}

export interface FakeWorker {
  facts: Worker;
  diedAt: number;
}

export const iso = (ms: number): string => new Date(ms).toISOString();
