import { useEffect, useState } from "react";
import { ask } from "../../api/client";
import { now } from "../../lib/clock";
import { Admission, advance, type Board, EMPTY, SHOWN, seed, settled } from "../../live/board";
import { type Arrival, link, listen } from "../../live/source";

const TYPES = ["Pending", "Processing", "Completed", "Failed", "DLQ"];
export const A_SECOND = 4; // new cards
const CALM_MS = 200; // between two changes of the board: faster, nobody can read a card
const SETTLE_MS = 150;
const RESEED_MS = 4000; // between two questions to the lists at least, and after the last event that was left out

/** The board, seeded from the lists and moved on by events. Null until it is there. */
export function useBoard(): Board | null {
  const [board, setBoard] = useState<Board | null>(null);
  useEffect(() => {
    const follower = new Follower(setBoard);
    return () => follower.end();
  }, []);
  return board;
}

class Follower {
  #board: Board = EMPTY;
  #seeded = false; // not while the lists are asked
  #asked = Number.NEGATIVE_INFINITY; // when they were
  #arrived: Arrival[] = [];
  #admission = new Admission(A_SECOND, A_SECOND * 2, now());
  #show: (board: Board) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reseed: ReturnType<typeof setTimeout> | undefined;
  #ticks = setInterval(() => this.#tick(), SETTLE_MS);
  #stop = new AbortController();
  #leave: () => void;

  constructor(show: (board: Board) => void) {
    this.#show = show;
    this.#leave = listen(TYPES, (arrived) => this.#take(arrived));
    void this.#seed();
  }

  end(): void {
    this.#leave();
    this.#stop.abort();
    clearInterval(this.#ticks);
    clearTimeout(this.#timer);
    clearTimeout(this.#reseed);
  }

  #take(arrived: Arrival[]): void {
    this.#arrived.push(...arrived);
    this.#timer ??= setTimeout(() => this.#advance(), CALM_MS);
  }

  #advance(): void {
    this.#timer = undefined;
    if (!this.#seeded) return;
    const arrived = this.#arrived;
    this.#arrived = [];
    const events = arrived.flatMap((one) => ("skipped" in one ? [] : [one]));
    const leftOut = arrived.some((one) => "skipped" in one && one.skipped !== null);
    this.#put(advance(this.#board, events, now(), this.#admission, leftOut));
    // Of what was left out more will follow. A stream that began anew is whole from there on, as the lists are.
    if (leftOut) this.#seedIn(RESEED_MS);
    else if (arrived.length > events.length) this.#seedIn(this.#asked + RESEED_MS - performance.now());
  }

  #seedIn(ms: number): void {
    clearTimeout(this.#reseed);
    this.#reseed = setTimeout(() => void this.#seed(), ms);
  }

  /** Ask the lists. What arrives meanwhile is taken in afterwards. */
  async #seed(): Promise<void> {
    const { signal } = this.#stop;
    this.#seeded = false;
    this.#asked = performance.now();
    try {
      const [waiting, running, dead] = await Promise.all([
        ask("listTasks", { query: { state: "waiting", limit: SHOWN }, signal }),
        ask("listTasks", { query: { state: "running", limit: SHOWN }, signal }),
        ask("listDeadLetters", { query: { limit: SHOWN }, signal }),
      ]);
      if (signal.aborted) return;
      this.#board = seed(waiting.items, running.items, dead.items);
    } catch {
      if (signal.aborted) return;
      // The next gap brings the next try; until then the events alone fill the board.
    }
    this.#seeded = true;
    this.#show(this.#board);
    this.#advance();
  }

  /** Without a stream the lists alone move the board. While the connection is away it stands still, as figures do. */
  #tick(): void {
    if (document.hidden) return; // there is nobody to see it
    const { phase } = link.state.get();
    if (phase === "live") this.#put(settled(this.#board, now()));
    else if (phase === "asking" && performance.now() - this.#asked >= RESEED_MS) void this.#seed();
  }

  #put(board: Board): void {
    if (board === this.#board || !this.#seeded) return;
    this.#board = board;
    this.#show(board);
  }
}
