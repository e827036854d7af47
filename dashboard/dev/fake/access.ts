import type { IncomingMessage } from "node:http";
import type { Session } from "../../src/api/schema.ts";

/** How the fake behaves; changed by POST /__fake, or by FAKE_… variables at the start. */
export interface Modes {
  /** `ok`, `away` (Redis does not answer, 503), or `gone` (the API cuts every connection). */
  server: "ok" | "away" | "gone";
  /** `open` (loopback, no key), `key` (API_KEY), `read-key` (both), `read-only`, `remote` (no key, not loopback), `host`. */
  access: "open" | "key" | "read-key" | "read-only" | "remote" | "host";
  /** Milliseconds that each answer takes longer. */
  delay: number;
  /** Streams are refused, so that the page has to ask. */
  noStream: boolean;
  /** Streams carry every event, whatever limit they are asked for. */
  unlimited: boolean;
}

export const KEY = "s3cret";
export const COOKIE = "buraq_session";

export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly field?: string,
  ) {
    super(message);
  }
}

export function session(request: IncomingMessage, modes: Modes): Session {
  const signedIn = (request.headers.cookie ?? "").includes(`${COOKIE}=fake`);
  const base = { signed_in: false, read_only: false, can_sign_in: false, expires_at: null, why_not: null };
  switch (modes.access) {
    case "open":
      return { ...base, who: "loopback", may_read: true, may_change: true };
    case "host":
      return { ...base, who: "ada@shop.example", may_read: true, may_change: true };
    case "read-only":
      return {
        ...base,
        who: "anybody",
        may_read: true,
        may_change: false,
        read_only: true,
        why_not: "READ_ONLY=true: this API takes no changes",
      };
    case "remote":
      return {
        ...base,
        who: "anybody",
        may_read: true,
        may_change: false,
        why_not: "Without API_KEY changes are taken from loopback only: set API_KEY and sign in with it",
      };
    default: {
      if (signedIn) {
        const expires = new Date(Date.now() + 11 * 3_600_000).toISOString();
        return { ...base, who: "API key", signed_in: true, may_read: true, may_change: true, expires_at: expires };
      }
      return {
        ...base,
        who: "anybody",
        may_read: modes.access === "key",
        may_change: false,
        can_sign_in: true,
        why_not:
          modes.access === "key"
            ? "Changes need API_KEY: sign in with it"
            : "Reading needs READ_KEY or API_KEY: sign in with one",
      };
    }
  }
}

export function check(request: IncomingMessage, modes: Modes): void {
  const who = session(request, modes);
  const allowed = request.method === "GET" ? who.may_read : who.may_change;
  if (!allowed) throw new Refused(who.can_sign_in ? 401 : 403, who.why_not ?? "Invalid or missing API key");
}
