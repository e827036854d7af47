import type { Payload, Priority, Reason } from "../../src/api/schema.ts";
import type { Random } from "./random.ts";

/** A task type of the fake: how often it comes, how long it runs, how it fails. */
export interface Kind {
  type: string;
  queue: string;
  weight: number;
  priority: Priority;
  /** Shortest and longest run in milliseconds. */
  runs: readonly [number, number];
  /** Share of attempts that fail. */
  fails: number;
  maxRetries: number;
  reason: Reason;
  error: (random: Random) => string;
  payload: (random: Random) => Payload;
}

const timedOut = () => "TimedOut: the task ran over its timeout of 30s";

export const KINDS: readonly Kind[] = [
  {
    type: "email_notification",
    queue: "mail",
    weight: 44,
    priority: "high",
    runs: [18, 120],
    fails: 0.004,
    maxRetries: 5,
    reason: "exhausted",
    error: (random) => `SMTPServerDisconnected: Connection unexpectedly closed: mx${random.whole(1, 4)}.mail.example`,
    payload: (random) => ({ user_id: random.whole(1, 99_999), template: random.pick(["welcome", "reset", "receipt"]) }),
  },
  {
    type: "resize_image",
    queue: "default",
    weight: 22,
    priority: "normal",
    runs: [40, 260],
    fails: 0.01,
    maxRetries: 3,
    reason: "not_retryable",
    error: (random) => `UnidentifiedImageError: cannot identify image file 'uploads/${random.hex(8)}.heic'`,
    payload: (random) => ({ image_id: random.whole(1, 99_999), width: random.pick([320, 640, 1280]), format: "webp" }),
  },
  {
    type: "charge_payment",
    queue: "default",
    weight: 14,
    priority: "high",
    runs: [110, 640],
    fails: 0.12,
    maxRetries: 5,
    reason: "exhausted",
    error: () => "ConnectionError: the payment provider closed the connection",
    payload: (random) => ({
      order_id: `ord_${random.hex(10)}`,
      amount_cents: random.whole(500, 48_000),
      currency: "EUR",
      card: { brand: "visa", number: "[redacted]", token: "[redacted]" },
    }),
  },
  {
    type: "call_webhook",
    queue: "default",
    weight: 6,
    priority: "normal",
    runs: [30, 900],
    fails: 0.3,
    maxRetries: 2,
    reason: "exhausted",
    error: (random) =>
      `ConnectionRefusedError: [Errno 111] nobody listens at https://partner-${random.whole(1, 9)}.example/hooks/orders`,
    payload: (random) => ({ url: `https://partner-${random.whole(1, 9)}.example/hooks/orders`, event: "order.paid" }),
  },
  {
    type: "reports.generate_monthly_statement",
    queue: "bulk",
    weight: 8,
    priority: "low",
    runs: [900, 5200],
    fails: 0.02,
    maxRetries: 1,
    reason: "exhausted",
    error: timedOut,
    payload: (random) => ({ account: random.whole(1000, 9999), month: "2026-10", pages: random.whole(1, 60) }),
  },
  {
    type: "transcode_video",
    queue: "bulk",
    weight: 0.4,
    priority: "low",
    runs: [14_000, 40_000],
    fails: 0.05,
    maxRetries: 0,
    reason: "crashed",
    error: () => "the worker process ended while the task ran in it",
    payload: (random) => ({
      video_id: random.whole(1, 9999),
      codec: "av1",
      source: `s3://media-eu/raw/${random.hex(24)}.mov`,
    }),
  },
  {
    type: "llm.summarise_thread",
    queue: "default",
    weight: 3,
    priority: "normal",
    runs: [1800, 12_000],
    fails: 0.05,
    maxRetries: 4,
    reason: "rejected",
    error: () =>
      "RateLimitError: 429 Too Many Requests: quota of 90000 tokens per minute reached, retry after 12 seconds",
    payload: (random) => ({ thread_id: 2 ** 53, model: "small", max_tokens: random.pick([256, 512]) }),
  },
];

export const QUEUES = ["default", "bulk", "mail"] as const;

export function traceback(kind: Kind, error: string): string {
  return `Traceback (most recent call last):
  File "/app/.venv/lib/python3.12/site-packages/buraq/worker/slots.py", line 212, in work
    result = function(**task.payload)
  File "/app/shop/tasks/${kind.type.split(".")[0]}.py", line 41, in ${kind.type.split(".").at(-1)}
    response = session.post(url, json=body, timeout=(3.05, 27))
  File "/app/.venv/lib/python3.12/site-packages/requests/sessions.py", line 637, in post
    return self.request("POST", url, data=data, json=json, **kwargs)
  File "/app/.venv/lib/python3.12/site-packages/requests/adapters.py", line 501, in send
    raise ConnectionError(err, request=request)
${error}`;
}
