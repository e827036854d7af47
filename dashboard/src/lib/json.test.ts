import { describe, expect, it } from "vitest";
import { exactNumber, objectProblem, parseJson, printJson } from "./json";

describe("numbers that a double cannot hold", () => {
  it.each(["9007199254740993", "-12345678901234567890", "0.1234567890123456789", "1e400"])(
    "stay as they were written: %s",
    (number) => {
      const value = parseJson(`{"id":${number},"list":[${number}]}`) as { id: unknown };

      expect(exactNumber(value.id)).toBe(number);
      expect(printJson(value, 0)).toBe(`{"id":${number},"list":[${number}]}`);
    },
  );

  it("are left alone inside texts", () => {
    const text = '{"note":"call 9007199254740993 \\" 9007199254740993","at":1795857123120043}';

    expect(parseJson(text)).toEqual(JSON.parse(text));
    expect(printJson(parseJson(text), 0)).toBe(text);
  });
});

it("a text that looks like the mark of a number stays a text", () => {
  const text = '{"a":"\\u0000number:1,\\"b\\":2","n":9007199254740993}';

  expect(printJson(parseJson(text), 0)).toBe(text);
});

it("ordinary JSON is read as it always is", () => {
  const text = '{"a":[1,-2.5,true,null,"x"],"b":{}}';

  expect(parseJson(text)).toEqual(JSON.parse(text));
  expect(exactNumber("text")).toBeNull();
});

it("what is no JSON throws as it always does", () => {
  expect(() => parseJson("<html>")).toThrow(SyntaxError);
  expect(() => parseJson("{9007199254740993")).toThrow(SyntaxError);
});

describe("a payload that somebody writes", () => {
  it("is an object", () => {
    expect(objectProblem('{"a": 1}')).toBeNull();
    expect(objectProblem("{}")).toBeNull();
  });

  it.each(["[1]", '"text"', "null", "3", "{", ""])("is refused when it is none: %s", (text) => {
    expect(objectProblem(text)).toMatch(/no JSON|is an object/);
  });
});
