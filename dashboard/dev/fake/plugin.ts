import type { IncomingMessage, ServerResponse } from "node:http";
import type { Plugin } from "vite";
import { FakeApi } from "./api.ts";

// What the real API sends with the page. `vite dev` cannot live under it, for its hot reload is inline.
const PAGE_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "font-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Serves the fake API beside the page, in `vite` and in `vite preview`, with `--mode fake`. */
export function fakeApi(): Plugin {
  const prefix = (process.env.FAKE_PREFIX ?? "").replace(/\/$/, "");

  function middleware(preview: boolean) {
    const api = new FakeApi();
    if (process.env.FAKE_MODES) Object.assign(api.modes, JSON.parse(process.env.FAKE_MODES));
    api.world.start();
    return (request: IncomingMessage, response: ServerResponse, next: () => void) => {
      const url = new URL(request.url ?? "/", "http://fake");
      if (prefix && url.pathname === prefix) {
        response.writeHead(308, { Location: `${prefix}/` }).end();
        return;
      }
      if (prefix && !url.pathname.startsWith(`${prefix}/`) && url.pathname !== "/__fake") {
        response.writeHead(404).end("This is the host app; the queue is elsewhere.");
        return;
      }
      url.pathname = url.pathname.slice(url.pathname.startsWith(`${prefix}/`) ? prefix.length : 0);
      request.url = url.pathname + url.search;
      if (preview) response.setHeader("Content-Security-Policy", PAGE_POLICY);
      void api.handle(request, response, url).then((done) => done || next());
    };
  }

  return {
    name: "buraq-fake-api",
    configureServer(server) {
      server.middlewares.use(middleware(false));
    },
    configurePreviewServer(server) {
      server.middlewares.use(middleware(true));
    },
  };
}
