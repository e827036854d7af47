import { useEffect, useState } from "react";
import { ask } from "../../api/client";
import { now } from "../../lib/clock";
import { Admission, advance, type Board, EMPTY, seed, settled } from "../../live/board";
import { type Arrival, link, listen } from "../../live/source";

const TYPES = ["Pending", "Processing", "Completed", "Failed", "DLQ"];
export const A_SECOND = 4; // new cards
const CALM_MS = 200; // between two changes of the board: faster, nobody can read a card
const SETTLE_MS = 150;
const RESEED_MS = 4000; // after events were left out, until the lists are asked what is true

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
  #seeded = false;
  #arrived: Arrival[] = [];
  #admission = new Admission(A_SECOND, A_SECOND * 2, now());
  #show: (board: Board) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #reseed: ReturnType<typeof setTimeout> | undefined;
  #settle = setInterval(() => this.#settleNow(), SETTLE_MS);
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
    clearInterval(this.#settle);
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
    const missed = arrived.length > events.length;
    this.#put(advance(this.#board, events, now(), this.#admission, missed));
    if (missed) {
      clearTimeout(this.#reseed);
      this.#reseed = setTimeout(() => void this.#seed(), RESEED_MS);
    }
  }

  /** Ask the lists. What arrives meanwhile is taken in afterwards. */
  async #seed(): Promise<void> {
    const { signal } = this.#stop;
    try {
      const [waiting, running, dead] = await Promise.all([
        ask("listTasks", { query: { state: "waiting", limit: 5 }, signal }),
        ask("listTasks", { query: { state: "running", limit: 6 }, signal }),
        ask("listDeadLetters", { query: { limit: 10 }, signal }),
      ]);
      this.#board = seed(waiting.items, running.items, dead.items);
    } catch {
      if (signal.aborted) return;
      // The next gap brings the next try; until then the events alone fill the board.
    }
    this.#seeded = true;
    this.#show(this.#board);
    this.#advance();
  }

  /** While the connection is away the board stands still, as all figures do. */
  #settleNow(): void {
    if (link.state.get().phase === "live") this.#put(settled(this.#board, now()));
  }

  #put(board: Board): void {
    if (board === this.#board || !this.#seeded) return;
    this.#board = board;
    this.#show(board);
  }
}
