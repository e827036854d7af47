import { expect, it } from "vitest";
import { enqueueBody } from "./enqueue";

const FIELDS = { type: "mail", queue: "default", priority: "high", delay: "", payload: '{"n": 9007199254740993}' };

it("a payload is sent as it was written, big numbers and all", () => {
  expect(enqueueBody(FIELDS)).toBe(
    '{"type":"mail","queue":"default","priority":"high","payload":{"n": 9007199254740993}}',
  );
});

it("a delay is given in seconds and sent in milliseconds; an empty payload is an empty object", () => {
  expect(JSON.parse(enqueueBody({ ...FIELDS, delay: "1.5", payload: " " }))).toMatchObject({
    delay_ms: 1500,
    payload: {},
  });
  expect(JSON.parse(enqueueBody({ ...FIELDS, delay: "0" }))).not.toHaveProperty("delay_ms");
});
