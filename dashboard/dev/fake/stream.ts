import type { IncomingMessage, ServerResponse } from "node:http";
import type { Event, Overview } from "../../src/api/schema.ts";
import type { Modes } from "./access.ts";
import type { World } from "./world.ts";

/** The event stream: single events by type, at most `limit` a second, and the aggregate once a second. */
export function stream(
  request: IncomingMessage,
  response: ServerResponse,
  query: URLSearchParams,
  world: World,
  overview: () => Overview,
  modes: Modes,
): void {
  const wanted = query.get("types")?.split(",");
  const limit = Number(query.get("limit") ?? Number.POSITIVE_INFINITY);
  let sent = 0;
  let skipped = 0;
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  response.write('retry: 3000\ndata: {"type":"ping"}\n\n');
  const hear = (event: Event) => {
    if (wanted && !wanted.includes(event.type)) return;
    if ((sent >= limit && !modes.unlimited) || response.writableLength > 1_000_000) {
      skipped += 1;
      return;
    }
    sent += 1;
    response.write(`id: ${event.at}\ndata: ${JSON.stringify(event)}\n\n`);
  };
  const second = () => {
    if (modes.server === "gone") request.socket.destroy();
    if (modes.server !== "ok") return;
    if (skipped) response.write(`event: skipped\ndata: {"type":"skipped","count":${skipped}}\n\n`);
    sent = skipped = 0;
    if (wanted?.includes("stats")) response.write(`event: stats\ndata: ${JSON.stringify(overview())}\n\n`);
  };
  if (!wanted || wanted.some((type) => type !== "stats")) world.listeners.add(hear);
  second();
  const timer = setInterval(second, 1000);
  request.on("close", () => {
    clearInterval(timer);
    world.listeners.delete(hear);
  });
}
