/** Starts a worker process. Which app it runs nothing here can know: `module` and `queue` stand for the reader's own. */
export const WORKER = "buraq worker module:queue";
