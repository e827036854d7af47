import { type FormEvent, useState } from "react";
import { ask, ROOT } from "../api/client";
import { cache } from "../api/queries";
import { type Link, TRIES } from "../live/link";
import { link, renew } from "../live/source";
import { useSession } from "../session";
import { Bone, BoneRows, Command } from "../ui/basics";
import { Dialog } from "../ui/dialog";
import { Icon, Mark } from "../ui/icon";

/** What the page looks like before the first answer. */
export function Connecting() {
  return (
    <>
      <output className="muted">Connecting…</output>
      <div className="panel panel-body">
        <Bone height={44} />
      </div>
      <div className="panel">
        <BoneRows rows={7} />
      </div>
    </>
  );
}

function Tries({ link: state }: { link: Link }) {
  if (state.phase === "lost") {
    return (
      <output>
        Connection lost, retrying ({state.tries}/{TRIES})
      </output>
    );
  }
  return <output>Connection lost</output>;
}

function Again() {
  return (
    <button type="button" className="button small" onClick={() => link.start()}>
      Try again
    </button>
  );
}

/** Over a page that shows what was last known. */
export function LostBanner({ link: state }: { link: Link }) {
  if ((state.phase !== "lost" && state.phase !== "given-up") || !state.before) return null;
  return (
    <section className={state.phase === "given-up" ? "banner bad" : "banner"} aria-label="Connection">
      <Icon name="warning" />
      <Tries link={state} />
      <span className="muted">What you see is what was last known.</span>
      {state.phase === "given-up" && <Again />}
    </section>
  );
}

/** The API was never there. */
export function Unreachable({ link: state }: { link: Link }) {
  return (
    <div className="center-page">
      <div className="panel center-card">
        <h1>No answer from the API</h1>
        <p className="muted">
          This page asks <code>{ROOT.href}api/v1</code>. Is the API running there, and does its{" "}
          <code>CORS_ORIGINS</code> name <code>{location.origin}</code>, if that is somewhere else?
        </p>
        <Command>buraq api</Command>
        <div className="row">
          <Tries link={state} />
          {state.phase === "given-up" && (
            <span className="push">
              <Again />
            </span>
          )}
        </div>
      </div>
    </div>
  );
}

/** The API is there and Redis is not; over the view, where one was shown `before`. */
export function Away({ before }: { before: boolean }) {
  return (
    <div className={before ? "center-page above" : "center-page"}>
      <div className="panel center-card">
        <h1>Redis is away</h1>
        <p>
          The API runs, and the Redis or Valkey server behind it does not answer. While that lasts nobody can enqueue,
          and nothing can be shown{before && " but what was last known, below"}.
        </p>
        <ul className="stack muted">
          <li>
            Workers wait and go on within seconds of its return. Tasks that they finish meanwhile are written then.
          </li>
          <li>Callers of enqueue get an error after ENQUEUE_TIMEOUT, so they can try again.</li>
          <li>Where the server is, and why it does not answer, stands in the API's log.</li>
        </ul>
        <Command>buraq status</Command>
        <output className="pulse live tone-waiting">Asking every two seconds. This page comes back by itself.</output>
      </div>
    </div>
  );
}

function useSignIn(done: () => void) {
  const [key, setKey] = useState("");
  const [error, setError] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const submit = async () => {
    setBusy(true);
    setError(null);
    try {
      await ask("signIn", { body: { key } });
      await cache.invalidateQueries();
      if (link.state.get().phase === "refused") renew();
      done();
    } catch (problem) {
      setError(problem instanceof Error ? problem.message : String(problem));
    } finally {
      setBusy(false);
    }
  };
  const field = (
    <label className="field">
      <span>Key</span>
      <input
        className="input"
        type="password"
        autoComplete="current-password"
        value={key}
        aria-invalid={error !== null}
        onChange={(event) => setKey(event.target.value)}
      />
      {error ? (
        <span className="wrong" role="alert">
          {error}
        </span>
      ) : (
        <span className="hint">API_KEY, or READ_KEY to read alone. It is traded for a cookie and kept nowhere.</span>
      )}
    </label>
  );
  return { field, submit, ready: key !== "" && !busy };
}

/** Nothing may be read without a key. */
export function SignInPage() {
  const session = useSession();
  const { field, submit, ready } = useSignIn(() => undefined);
  const onSubmit = (event: FormEvent) => {
    event.preventDefault();
    void submit();
  };
  return (
    <main className="center-page">
      <form className="panel center-card" onSubmit={onSubmit}>
        <div className="brand" style={{ padding: 0, height: "auto" }}>
          <Mark />
          Buraq
        </div>
        {session.can_sign_in ? (
          <>
            <h1>Sign in</h1>
            {field}
            <button type="submit" className="button primary" disabled={!ready}>
              Sign in
            </button>
          </>
        ) : (
          <>
            <h1>Not for you, it seems</h1>
            <p className="muted">
              {session.why_not ?? "The app that this dashboard is part of does not let you read it."}
            </p>
            <button type="button" className="button" onClick={renew}>
              Try again
            </button>
          </>
        )}
      </form>
    </main>
  );
}

export function SignInDialog({ onClose }: { onClose: () => void }) {
  const { field, submit, ready } = useSignIn(onClose);
  return (
    <Dialog
      title="Sign in"
      onClose={onClose}
      onSubmit={() => void submit()}
      foot={
        <button type="submit" className="button primary" disabled={!ready}>
          Sign in
        </button>
      }
    >
      {field}
    </Dialog>
  );
}
