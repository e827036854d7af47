import { heardTime } from "../lib/clock";
import { parseJson } from "../lib/json";
import { type Operations, ROUTES } from "./schema";

const CONFIGURED: string = import.meta.env.VITE_API_URL ?? "";
const TIMEOUT_MS = 20_000;

/** Where the API is: beside the page, under whatever prefix that is, or where VITE_API_URL says. Ends with a slash. */
export const ROOT = new URL(CONFIGURED ? CONFIGURED.replace(/\/*$/, "/") : ".", document.baseURI);

/** Whether cookies have to be asked for. */
export const ELSEWHERE = ROOT.origin !== location.origin;

/** What the API said instead of an answer. `status` 0: it said nothing, there is no connection. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly field?: string,
  ) {
    super(message);
    this.name = "Problem";
  }
}

/** Whether the API said that there is no such thing, or no longer. */
export const isGone = (error: Error | null): boolean => error instanceof Problem && error.status === 404;

type Name = keyof Operations;
type Values = Record<string, unknown>;

export interface Ask<N extends Name> {
  at?: Operations[N]["at"];
  query?: Operations[N]["query"];
  body?: Operations[N]["body"];
  /** The body as JSON text, where writing it anew could change a number. */
  rawBody?: string;
  signal?: AbortSignal;
}

/** The address of an operation. */
export function address<N extends Name>(name: N, ask: Pick<Ask<N>, "at" | "query"> = {}): URL {
  const values: Values = ask.at ?? {};
  const path = ROUTES[name][1].replace(/\{(\w+)\}/g, (_, key: string) => encodeURIComponent(String(values[key])));
  const url = new URL(path.slice(1), ROOT);
  for (const [key, value] of Object.entries(ask.query ?? {})) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(key, String(value));
  }
  return url;
}

/** Ask the API. Throws Problem for whatever is no answer, AbortError when `signal` says so. */
export async function ask<N extends Name>(name: N, asked: Ask<N> = {}): Promise<Operations[N]["answer"]> {
  const began = Date.now();
  const body = asked.rawBody ?? (asked.body === undefined ? undefined : JSON.stringify(asked.body));
  const { response, text } = await send(address(name, asked), {
    method: ROUTES[name][0],
    ...(body !== undefined && { body, headers: { "Content-Type": "application/json" } }),
    signal: AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), ...(asked.signal ? [asked.signal] : [])]),
  });
  const answer = read(text);
  if (!response.ok) throw problem(response.status, answer);
  // JSON of the API is never a bare text: this is a page, of whatever else stands at that address.
  if (typeof answer === "string") throw new Problem(0, `No answer from the API at ${ROOT.href}: a page came instead`);
  if (isObject(answer) && typeof answer.at === "string") heardTime(answer.at, began);
  return answer as Operations[N]["answer"]; // what the contract says, which a test on the other side holds
}

/** Send a request, and return all of what comes: a connection that breaks in the middle has said nothing either. */
async function send(url: URL, init: RequestInit): Promise<{ response: Response; text: string }> {
  try {
    const response = await fetch(url, { ...init, credentials: ELSEWHERE ? "include" : "same-origin" });
    return { response, text: await response.text() };
  } catch (error) {
    if (init.signal?.aborted && init.signal.reason?.name !== "TimeoutError") throw error;
    throw new Problem(0, `The API at ${ROOT.origin} does not answer`);
  }
}

function read(text: string): unknown {
  if (!text) return undefined;
  try {
    return parseJson(text);
  } catch {
    return text; // a proxy's page, perhaps
  }
}

function problem(status: number, answer: unknown): Problem {
  if (isObject(answer) && typeof answer.error === "string") {
    return new Problem(status, answer.error, typeof answer.field === "string" ? answer.field : undefined);
  }
  return new Problem(status, `The API answered ${status}, and not in its own words: a proxy in between?`);
}

function isObject(value: unknown): value is Values {
  return typeof value === "object" && value !== null;
}
