// How views ask: one cache for all, asked again at a pace, and anew when the connection comes back.

import {
  keepPreviousData,
  MutationCache,
  QueryCache,
  QueryClient,
  useInfiniteQuery,
  useMutation,
  useQuery,
} from "@tanstack/react-query";
import { useRef } from "react";
import { stopped } from "../lib/settings";
import { Store, useStore } from "../lib/store";
import { link } from "../live/source";
import { complain, say } from "../ui/toast";
import { type Ask, ask, isGone, Problem } from "./client";
import type { Operations } from "./schema";

/** What may mean that nothing can be read any more: the connection, a session that ended, Redis. */
const DOUBTFUL: readonly number[] = [0, 401, 403, 503];

function doubted(error: Error): void {
  if (error instanceof Problem && DOUBTFUL.includes(error.status)) void link.doubt();
}

export const cache = new QueryClient({
  queryCache: new QueryCache({ onError: doubted }),
  mutationCache: new MutationCache({ onError: doubted }),
  defaultOptions: {
    queries: {
      // No connection and an absent server are the link's business; it has all asked again when they are over.
      retry: (times, error) => times < 2 && error instanceof Problem && error.status >= 500 && error.status !== 503,
      staleTime: 1000,
      gcTime: 5 * 60_000,
      networkMode: "always", // an API on this machine is there without a network
    },
    mutations: { networkMode: "always" },
  },
});

/** What the API says instead of newer answers, while old ones are shown; null while there is nothing of that kind. */
export const failing = new Store<string | null>(null);

cache.getQueryCache().subscribe(() => {
  const old = cache
    .getQueryCache()
    .getAll()
    .find((one) => one.isActive() && one.state.data !== undefined && one.state.error && !isGone(one.state.error));
  failing.set(old?.state.error?.message ?? null);
});

type Name = keyof Operations;

/** At what pace to ask, in ms; not at all while there is nobody to ask, or the user stopped it. */
function usePace(every: number | undefined): number | false {
  const { phase } = useStore(link.state);
  const still = useStore(stopped);
  return every === undefined || still || (phase !== "live" && phase !== "asking") ? false : every;
}

/**
 * While something that failed is asked again the last answer is still that it failed: else a view that has nothing else to
 * show would turn into bones and back with each question, and be read out anew.
 */
function useLast(error: Error | null, pending: boolean, question: unknown): Error | null {
  const key = JSON.stringify(question);
  const last = useRef({ key, error });
  if (error || !pending || key !== last.current.key) last.current = { key, error };
  return last.current.error;
}

export interface Asked<Answer> {
  data: Answer | undefined;
  error: Error | null;
  isPlaceholderData: boolean;
  refetch: () => unknown;
}

export function useAsk<N extends Name>(
  name: N,
  asked: Pick<Ask<N>, "at" | "query"> = {},
  { every, enabled = true, keep = false }: { every?: number; enabled?: boolean; keep?: boolean } = {},
): Asked<Operations[N]["answer"]> {
  const queryKey = [name, asked];
  const { data, error, isPending, isPlaceholderData, refetch } = useQuery<Operations[N]["answer"]>({
    queryKey,
    queryFn: ({ signal }) => ask(name, { ...asked, signal }),
    refetchInterval: usePace(every),
    enabled,
    ...(keep && { placeholderData: keepPreviousData }),
  });
  return { data, error: useLast(error, isPending, queryKey), isPlaceholderData, refetch };
}

type Lists = "listTasks" | "listDeadLetters" | "listAudit";

/** So many pages of a list are asked again at its pace; of a longer one it is said how old it is. */
export const FOLLOWED = 2;

/** A list, page after page. */
export function usePages<N extends Lists>(name: N, query: Operations[N]["query"], every?: number) {
  const pace = usePace(every);
  const queryKey = [name, { query }];
  const asked = useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam, signal }) =>
      ask(name, { query: { ...query, ...(pageParam && { cursor: pageParam }) }, signal }),
    initialPageParam: "",
    getNextPageParam: (page) => page.next,
    refetchInterval: (asked) => ((asked.state.data?.pages.length ?? 0) <= FOLLOWED ? pace : false),
  });
  const { data, dataUpdatedAt, hasNextPage, isFetchingNextPage, fetchNextPage, refetch } = asked;
  return {
    data,
    dataUpdatedAt,
    error: useLast(asked.error, asked.isPending, queryKey),
    /** Why the next page did not come, until one does. Nobody is to ask for it but a user. */
    stuck: useStuck(asked.isFetchNextPageError ? asked.error : null, data?.pages.length ?? 0, queryKey),
    hasNextPage,
    isFetchingNextPage,
    fetchNextPage,
    refetch,
  };
}

/** The first pages are asked again meanwhile, and what they answer says nothing of the next one. */
function useStuck(error: Error | null, pages: number, question: unknown): Error | null {
  const key = `${pages} ${JSON.stringify(question)}`;
  const stuck = useRef({ key, error });
  if (error || key !== stuck.current.key) stuck.current = { key, error };
  return stuck.current.error;
}

/** Something that changes the server. All that is shown is asked again afterwards. `failed` is for who says why itself. */
export function useAct<N extends Name>(
  name: N,
  done: (answer: Operations[N]["answer"]) => string | [string, string] | null,
  failed: (error: Error) => void = complain,
) {
  return useMutation<Operations[N]["answer"], Error, Ask<N>>({
    mutationFn: (asked) => ask(name, asked),
    onSuccess: (answer) => {
      const said = done(answer);
      if (typeof said === "string") say(said);
      else if (said) say(...said);
      // Not before a view that was left is gone: it would ask for what is no longer there.
      setTimeout(() => void cache.invalidateQueries());
    },
    onError: failed,
  });
}
