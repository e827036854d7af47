// Whether the API is there, and what to do while it is not. One event stream for the whole page: it brings the figures
// once a second and, where a view wants them, single events.

import { Store } from "../lib/store";

export const TRIES = 5;
const WAITS_MS = [1000, 2000, 4000, 8000, 8000];
const AWAY_MS = 2000; // between two questions whether Redis is back
const ASKING_MS = 10_000; // between two tries to get a stream while the API is fine without one
const CALM_MS = 2000; // between two streams at least, when each breaks as soon as it is there
const SILENCE_MS = 12_000; // figures come each second, so this is a connection that is dead and does not know

export type Link =
  /** The first try, or the first one after a rest. */
  | { phase: "connecting"; before: boolean }
  | { phase: "live" }
  /** The API answers and no stream comes, for want of room or held back on the way: views ask instead. */
  | { phase: "asking" }
  /** No connection: the n-th of five tries is next, or under way. */
  | { phase: "lost"; tries: number; before: boolean }
  | { phase: "given-up"; before: boolean }
  /** The API answers, Redis does not. */
  | { phase: "away"; before: boolean }
  /** Nothing may be read without signing in. */
  | { phase: "refused" }
  /** The tab is hidden, or the user stopped it. */
  | { phase: "resting" };

/** What stands behind the API's address. */
export type Health = "fine" | "away" | "refused" | "unreachable";

export interface Stream {
  close(): void;
}

export interface Heard {
  /** Something came. `kind` is the frame's event, `message` for single events. */
  message(kind: string, data: string): void;
  failed(): void;
}

export interface World {
  open(types: readonly string[], heard: Heard): Stream;
  health(): Promise<Health>;
}

/** Holds the stream, and finds out what is wrong when it breaks. */
export class LiveLink {
  readonly state = new Store<Link>({ phase: "connecting", before: false });
  #world: World;
  #hear: (kind: string, data: string) => void;
  #stream: Stream | null = null;
  #wanted: readonly string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setTimeout> | undefined;
  #before = false; // whether it was there, so that there is something to show meanwhile
  #doubting = false;
  #mended = Number.NEGATIVE_INFINITY; // when a stream that broke was opened again last
  #round = 0; // what a probe answers is old when this has moved on

  /** `hear` gets all frames, and one of the kind `open` each time the stream begins anew. */
  constructor(world: World, hear: (kind: string, data: string) => void) {
    this.#world = world;
    this.#hear = hear;
  }

  /** Begin, or begin again at once and with five new tries. */
  start(): void {
    this.#settle();
    const { phase } = this.state.get();
    if (phase === "resting" || phase === "refused") this.state.set({ phase: "connecting", before: this.#before });
    if (phase === "given-up") this.state.set({ phase: "lost", tries: 1, before: this.#before });
    this.#open();
  }

  /** Somebody got no answer, or heard that Redis is away: find out whether that is so. */
  async doubt(): Promise<void> {
    const { phase } = this.state.get();
    if (this.#doubting || (phase !== "live" && phase !== "asking")) return;
    this.#doubting = true;
    const round = this.#round;
    const health = await this.#world.health();
    this.#doubting = false;
    if (round === this.#round && health !== "fine") this.#judge(health, true);
  }

  /** Hold no connection until `start`. */
  rest(): void {
    this.#settle();
    // Where nothing may be read nothing is held, and somebody may be looking for the key.
    if (this.state.get().phase !== "refused") this.state.set({ phase: "resting" });
  }

  /** Say which single events are wanted; the figures always come. */
  want(types: readonly string[]): void {
    if (types.join() === this.#wanted.join()) return;
    this.#wanted = types;
    if (this.#stream) {
      this.#settle();
      this.#open();
    }
  }

  #settle(): void {
    this.#round += 1;
    clearTimeout(this.#timer);
    clearTimeout(this.#watch);
    this.#stream?.close();
    this.#stream = null;
  }

  #open(): void {
    let begun = false;
    const round = this.#round;
    this.#listen(false);
    this.#stream = this.#world.open(this.#wanted, {
      message: (kind, data) => {
        if (round !== this.#round) return;
        this.#listen(true);
        if (!begun) {
          begun = true;
          this.#before = true;
          this.state.set({ phase: "live" });
          this.#hear("open", "");
        }
        this.#hear(kind, data);
      },
      failed: () => {
        if (round === this.#round) void this.#failed(begun);
      },
    });
  }

  /** A stream that never said a word was none: something in between may hold it back. */
  #listen(begun: boolean): void {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => void this.#failed(begun), SILENCE_MS);
  }

  async #failed(wasOpen: boolean): Promise<void> {
    this.#settle();
    const round = this.#round;
    const health = await this.#world.health();
    if (round === this.#round) this.#judge(health, wasOpen);
  }

  #judge(health: Health, wasOpen: boolean): void {
    this.#settle();
    switch (health) {
      case "unreachable":
        this.#lost();
        return;
      case "away":
        this.state.set({ phase: "away", before: this.#before });
        this.#timer = setTimeout(() => void this.#failed(true), AWAY_MS);
        return;
      case "refused":
        this.#before = false; // what was seen is not for whoever comes next
        this.state.set({ phase: "refused" });
        return;
      case "fine":
        // Another process answers, or Redis is back.
        if (wasOpen) {
          this.#mend();
          return;
        }
        this.#before = true;
        this.state.set({ phase: "asking" });
        this.#timer = setTimeout(() => this.#open(), ASKING_MS);
    }
  }

  /** At once, but not again and again: what breaks one may break all. */
  #mend(): void {
    const wait = this.#mended + CALM_MS - performance.now();
    this.#mended = performance.now() + Math.max(0, wait);
    if (wait > 0) this.#timer = setTimeout(() => this.#open(), wait);
    else this.#open();
  }

  #lost(): void {
    const link = this.state.get();
    const tries = link.phase === "lost" ? link.tries + 1 : 1;
    if (tries > TRIES) {
      this.state.set({ phase: "given-up", before: this.#before });
      return;
    }
    this.state.set({ phase: "lost", tries, before: this.#before });
    this.#timer = setTimeout(() => this.#open(), WAITS_MS[tries - 1]);
  }
}
