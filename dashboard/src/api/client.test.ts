import { afterEach, describe, expect, it, vi } from "vitest";
import { exactNumber } from "../lib/json";
import { address, ask, Problem } from "./client";

function answers(status: number, body: string): ReturnType<typeof vi.fn> {
  const fetch = vi.fn(async () => new Response(status === 204 ? null : body, { status }));
  vi.stubGlobal("fetch", fetch);
  return fetch;
}

afterEach(() => vi.unstubAllGlobals());

describe("an address", () => {
  it("is beside the page, with ids encoded and without what is not asked for", () => {
    const url = address("getTask", { at: { id: "order/9120?" }, query: { queue: "mail" } });

    expect(url.href).toBe(new URL("api/v1/tasks/order%2F9120%3F?queue=mail", document.baseURI).href);
    expect(address("listTasks", { query: { state: "dead", queue: "" } }).search).toBe("?state=dead");
  });

  it("follows the page under any prefix, and VITE_API_URL before that", async () => {
    vi.resetModules();
    vi.spyOn(document, "baseURI", "get").mockReturnValue("https://shop.example/admin/queue/#/tasks");
    expect((await import("./client")).address("getHealth").href).toBe("https://shop.example/admin/queue/api/health");

    vi.resetModules();
    vi.stubEnv("VITE_API_URL", "http://localhost:8080/buraq");
    expect((await import("./client")).address("getHealth").href).toBe("http://localhost:8080/buraq/api/health");
    vi.unstubAllEnvs();
  });
});

describe("an answer", () => {
  it("is read without changing a number", async () => {
    answers(200, '{"id":"a","payload":{"thread":9007199254740993}}');

    const task = await ask("getTask", { at: { id: "a" } });

    expect(exactNumber(task.payload.thread)).toBe("9007199254740993");
  });

  it("of nothing is nothing", async () => {
    answers(204, "");

    expect(await ask("signOut")).toBeUndefined();
  });

  it("that refuses says why, and which field is wrong", async () => {
    answers(422, '{"error":"limit=0: it is a whole number","field":"limit"}');

    await expect(ask("listTasks")).rejects.toMatchObject({
      status: 422,
      message: "limit=0: it is a whole number",
      field: "limit",
    });
  });

  it("that a proxy gave is no answer of the API's", async () => {
    answers(502, "<html>Bad gateway</html>");

    await expect(ask("getHealth")).rejects.toMatchObject({ status: 502, message: expect.stringContaining("a proxy") });
  });

  it("that is a page of something else is none", async () => {
    answers(200, "<!doctype html><title>Vite</title>");

    const said = await ask("getHealth").catch((problem: unknown) => problem);
    expect(said).toMatchObject({ status: 0, message: expect.stringMatching(/^No answer from the API at http/) });
  });

  it("that does not come is a problem without a status", async () => {
    vi.stubGlobal(
      "fetch",
      vi.fn(() => Promise.reject(new TypeError("Failed to fetch"))),
    );

    await expect(ask("getHealth")).rejects.toEqual(new Problem(0, `The API at ${location.origin} does not answer`));
  });
});

it("an answer that breaks off in the middle is a problem without a status, and one that is not wanted any more is none", async () => {
  const stop = new AbortController();
  const broken = () => ({ ok: true, status: 200, text: () => Promise.reject(new TypeError("network error")) });
  vi.stubGlobal("fetch", vi.fn(broken));

  await expect(ask("getHealth")).rejects.toEqual(new Problem(0, `The API at ${location.origin} does not answer`));
  stop.abort();
  await expect(ask("getHealth", { signal: stop.signal })).rejects.toBeInstanceOf(TypeError);
});

it("a body that was written by hand goes as it is", async () => {
  const fetch = answers(200, "{}");

  await ask("replayDeadLetter", { at: { id: "default:1-0" }, rawBody: '{"payload":{"n":9007199254740993}}' });

  expect(fetch.mock.calls[0]?.[1]).toMatchObject({ method: "POST", body: '{"payload":{"n":9007199254740993}}' });
});
