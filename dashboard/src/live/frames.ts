/**
 * Collects what arrives and hands it over once a frame. While the tab is hidden no frame comes: the oldest go, and of them
 * only the sum of what they weigh is kept.
 */
export class FrameQueue<T> {
  #items: T[] = [];
  #asked = false;
  #dropped = 0;
  #capacity: number;
  #take: (items: T[], dropped: number) => void;
  #weigh: (item: T) => number;
  #nextFrame: (run: () => void) => unknown;

  constructor(
    take: (items: T[], dropped: number) => void,
    weigh: (item: T) => number = () => 1,
    capacity = 5000,
    nextFrame: (run: () => void) => unknown = (run) => requestAnimationFrame(run),
  ) {
    this.#take = take;
    this.#weigh = weigh;
    this.#capacity = capacity;
    this.#nextFrame = nextFrame;
  }

  push(item: T): void {
    this.#items.push(item);
    // Twice the room, so that dropping is not done for each item.
    if (this.#items.length > 2 * this.#capacity) this.#trim();
    if (this.#asked) return;
    this.#asked = true;
    this.#nextFrame(() => this.#flush());
  }

  #trim(): void {
    const excess = this.#items.length - this.#capacity;
    if (excess <= 0) return;
    for (const item of this.#items.splice(0, excess)) this.#dropped += this.#weigh(item);
  }

  #flush(): void {
    this.#asked = false;
    this.#trim();
    const [items, dropped] = [this.#items, this.#dropped];
    this.#items = [];
    this.#dropped = 0;
    this.#take(items, dropped);
  }
}
