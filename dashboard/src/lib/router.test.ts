import { beforeEach, expect, it } from "vitest";
import { href, navigate, parseHash, setQuery } from "./router";

beforeEach(() => navigate(""));

it("an address holds path and query behind the hash", () => {
  const { path, query } = parseHash("#/tasks?state=dead&type=a%20b");

  expect(path).toEqual(["tasks"]);
  expect(Object.fromEntries(query)).toEqual({ state: "dead", type: "a b" });
});

it("an id of any text survives the way there and back", () => {
  for (const id of ["order/9120", "a?b#c", "50%", "ü b", "..", "a%2Fb"]) {
    expect(parseHash(href(["tasks", id], { queue: "mail" })).path).toEqual(["tasks", id]);
  }
});

it("an address that somebody broke is read as far as it can be", () => {
  expect(parseHash("#/tasks/50%").path).toEqual(["tasks", "50%"]);
  expect(parseHash("").path).toEqual([]);
  expect(parseHash("#/").path).toEqual([]);
});

it("empty values do not stand in an address", () => {
  expect(href([], { a: "", b: null, c: undefined, d: false })).toBe("#/");
  expect(href(["live"], { paused: true, n: 0 })).toBe("#/live?paused=true&n=0");
});

it("a filter changes its own value and leaves the others", () => {
  location.hash = "#/tasks?state=dead&queue=mail";

  setQuery({ queue: null, type: "a" });

  expect(location.hash).toBe("#/tasks?state=dead&type=a");
});
