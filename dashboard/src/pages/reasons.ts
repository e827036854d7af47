/** What the words for the reason of a death mean. A newer server may know more of them. */
export const REASONS: Record<string, string> = {
  exhausted: "it has no retries left",
  not_retryable: "its error is none that is retried",
  rejected: "it said itself that it should not be tried again",
  crashed: "its process died with it too often",
  unknown_type: "no live worker knows its type",
  undecodable: "the entry holds no task that can be read",
};
