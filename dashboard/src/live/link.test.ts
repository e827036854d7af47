import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type Health, type Heard, LiveLink, type Stream } from "./link";

/** A world in which the test says what happens. */
class FakeWorld {
  answer: Health = "fine";
  opened: { types: readonly string[]; heard: Heard; closed: boolean }[] = [];

  open(types: readonly string[], heard: Heard): Stream {
    const stream = { types, heard, closed: false };
    this.opened.push(stream);
    return {
      close: () => {
        stream.closed = true;
      },
    };
  }

  async health(): Promise<Health> {
    return this.answer;
  }

  get last() {
    const stream = this.opened.at(-1);
    if (!stream) throw new Error("nothing was opened");
    return stream;
  }
}

let world: FakeWorld;
let heard: string[];
let link: LiveLink;

/** Let the answer of a probe arrive. */
const probed = () => vi.advanceTimersByTimeAsync(0);

/** Break the stream that is open, and let what follows at once happen. */
async function fail(): Promise<void> {
  world.last.heard.failed();
  await probed();
}

beforeEach(() => {
  vi.useFakeTimers();
  world = new FakeWorld();
  heard = [];
  link = new LiveLink(world, (kind) => heard.push(kind));
  link.start();
});

afterEach(() => {
  link.rest();
  vi.useRealTimers();
});

describe("a connection", () => {
  it("is live with the first thing that is heard, and says that it began", () => {
    expect(link.state.get()).toEqual({ phase: "connecting", before: false });

    world.last.heard.message("message", "{}");

    expect(link.state.get()).toEqual({ phase: "live" });
    expect(heard).toEqual(["open", "message"]);
  });

  it("that breaks is opened again at once when the API answers", async () => {
    world.last.heard.message("stats", "{}");

    await fail();

    expect(world.opened).toHaveLength(2);
    expect(link.state.get()).toEqual({ phase: "live" });
  });

  it("that breaks as soon as it is there is not opened again and again", async () => {
    for (let times = 0; times < 20; times++) {
      world.last.heard.message("stats", "{}");
      await fail();
    }
    expect(world.opened).toHaveLength(2);

    await vi.advanceTimersByTimeAsync(2000);
    expect(world.opened).toHaveLength(3);
    expect(link.state.get()).toEqual({ phase: "live" });
  });

  it("that is silent for too long counts as broken", async () => {
    world.last.heard.message("stats", "{}");
    world.answer = "unreachable";

    await vi.advanceTimersByTimeAsync(13_000);

    expect(link.state.get()).toMatchObject({ phase: "lost", tries: 1 });
    expect(world.opened[0]?.closed).toBe(true);
  });

  it("that never says a word is none: it asks instead, and tries again later", async () => {
    await vi.advanceTimersByTimeAsync(12_000);

    expect(link.state.get()).toEqual({ phase: "asking" });
    expect(world.opened[0]?.closed).toBe(true);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(world.opened).toHaveLength(2);
    expect(link.state.get()).toEqual({ phase: "asking" });
  });

  it("hears nothing more from a stream that was given up", async () => {
    const first = world.last;
    await fail();
    first.heard.message("stats", "{}");

    expect(heard).toEqual([]);
  });

  it("changes what it asks for, and stays live meanwhile", () => {
    world.last.heard.message("stats", "{}");

    link.want(["DLQ"]);
    link.want(["DLQ"]);

    expect(world.opened.map((stream) => stream.types)).toEqual([[], ["DLQ"]]);
    expect(world.opened[0]?.closed).toBe(true);
    expect(link.state.get()).toEqual({ phase: "live" });
  });
});

describe("when the API is gone", () => {
  beforeEach(() => {
    world.answer = "unreachable";
  });

  it("five tries are made, each after a longer wait, then it waits to be asked", async () => {
    const waits: number[] = [];
    for (let tries = 1; tries <= 5; tries++) {
      await fail();
      expect(link.state.get()).toEqual({ phase: "lost", tries, before: false });
      const opened = world.opened.length;
      let waited = 0;
      for (; world.opened.length === opened; waited += 500) await vi.advanceTimersByTimeAsync(500);
      waits.push(waited);
    }
    await fail();

    expect(link.state.get()).toEqual({ phase: "given-up", before: false });
    expect(waits).toEqual([1000, 2000, 4000, 8000, 8000]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(world.opened).toHaveLength(6);
  });

  it("asking again gives five new tries", async () => {
    for (let tries = 1; tries <= 6; tries++) {
      await fail();
      await vi.advanceTimersByTimeAsync(8000);
    }
    expect(link.state.get()).toMatchObject({ phase: "given-up" });

    link.start();
    await fail();

    expect(link.state.get()).toMatchObject({ phase: "lost", tries: 2 });
  });

  it("one answer makes it live, and the next loss counts from one", async () => {
    await fail();
    await vi.advanceTimersByTimeAsync(1000);
    world.last.heard.message("stats", "{}");
    expect(link.state.get()).toEqual({ phase: "live" });

    await fail();

    expect(link.state.get()).toEqual({ phase: "lost", tries: 1, before: true });
  });
});

describe("when Redis is away", () => {
  it("it asks every two seconds for as long as that takes, and comes back by itself", async () => {
    world.answer = "away";
    await fail();
    expect(link.state.get()).toEqual({ phase: "away", before: false });
    await vi.advanceTimersByTimeAsync(600_000);
    expect(world.opened).toHaveLength(1);

    world.answer = "fine";
    await vi.advanceTimersByTimeAsync(2000);
    world.last.heard.message("stats", "{}");

    expect(link.state.get()).toEqual({ phase: "live" });
  });

  it("is found out as soon as any answer says so", async () => {
    world.last.heard.message("stats", "{}");
    world.answer = "away";

    await link.doubt();

    expect(link.state.get()).toEqual({ phase: "away", before: true });
  });

  it("a doubt that was wrong changes nothing", async () => {
    world.last.heard.message("stats", "{}");

    await link.doubt();

    expect(link.state.get()).toEqual({ phase: "live" });
    expect(world.opened).toHaveLength(1);
  });
});

it("asks instead when the API has no room for a stream, and tries again later", async () => {
  await fail();
  expect(link.state.get()).toEqual({ phase: "asking" });

  await vi.advanceTimersByTimeAsync(10_000);
  world.last.heard.message("stats", "{}");

  expect(link.state.get()).toEqual({ phase: "live" });
});

it("stops at a sign-in page, and starts from there", async () => {
  world.answer = "refused";
  await fail();
  expect(link.state.get()).toEqual({ phase: "refused" });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(world.opened).toHaveLength(1);

  link.start();

  expect(link.state.get()).toEqual({ phase: "connecting", before: false });
  expect(world.opened).toHaveLength(2);
});

it("gives its connection back when it rests, and a late answer does not wake it", async () => {
  world.last.heard.failed();

  link.rest();
  await probed();

  expect(link.state.get()).toEqual({ phase: "resting" });
  expect(world.opened.every((stream) => stream.closed)).toBe(true);
});

it("after a rest it begins anew and leaves what was shown", () => {
  world.last.heard.message("stats", "{}");

  link.rest();
  link.start();

  expect(link.state.get()).toEqual({ phase: "connecting", before: true });
});

it("rests at a sign-in page without leaving it, and shows nobody what was seen before", async () => {
  world.last.heard.message("stats", "{}");
  world.answer = "refused";
  await fail();

  link.rest();
  expect(link.state.get()).toEqual({ phase: "refused" });

  link.start();
  expect(link.state.get()).toEqual({ phase: "connecting", before: false });
});
