import { isGone } from "../api/client";
import { useAsk } from "../api/queries";
import type { DeadLetterDetail } from "../api/schema";
import { whole } from "../lib/format";
import { href } from "../lib/router";
import { useSession } from "../session";
import { Unanswered } from "../ui/asked";
import { Empty, Id, StateWord } from "../ui/basics";
import { Block } from "../ui/code";
import { FactsPanel, when } from "../ui/facts";
import { Panel } from "../ui/panel";
import { LetterActions } from "./letter-actions";
import { Attempts, common, PayloadPanel, Timeline } from "./parts";
import { REASONS } from "./reasons";
import { steps } from "./timeline";

export function DeadLetterPage({ id }: { id: string }) {
  const session = useSession();
  const asked = useAsk("getDeadLetter", { at: { id } }, { every: 5000 });
  const letter = asked.data;
  const gone = isGone(asked.error);
  if (!letter) return gone ? <Gone /> : <Unanswered asked={asked} />;
  return (
    <>
      <div className="detail-head">
        <StateWord state="dead" />
        <h2>{letter.type ?? "Cannot be read"}</h2>
        {letter.task_id && <Id id={letter.task_id} whole />}
        <div className="row wrap push">
          {gone ? (
            <span className="muted">It is no longer here.</span>
          ) : (
            session.may_change && (
              <LetterActions id={letter.id} payload={letter.payload} readable={letter.payload !== null} />
            )
          )}
        </div>
      </div>
      <div className="columns two-one">
        <div className="stack">
          {letter.raw !== null && (
            <Panel title="The entry as it is" label="Entry">
              <div className="panel-body">
                <Block text={letter.raw} label="entry" wrap />
              </div>
            </Panel>
          )}
          {letter.attempts.length > 0 ? (
            <Attempts attempts={letter.attempts} leftOut={letter.attempts_left_out} />
          ) : (
            (letter.error || letter.traceback) && <LastError letter={letter} />
          )}
          {letter.payload && <PayloadPanel payload={letter.payload} redacted={letter.redacted} />}
        </div>
        <div className="stack">
          <Facts letter={letter} />
          <Timeline steps={steps({ ...letter, state: "dead", since: letter.died_at, due_at: null })} />
        </div>
      </div>
    </>
  );
}

function Gone() {
  return (
    <div className="panel">
      <Empty title="This dead letter is gone">
        Somebody retried or deleted it, or retention did.{" "}
        <a className="link" href={href(["system"], { tab: "audit" })}>
          Who did what
        </a>
      </Empty>
    </div>
  );
}

function LastError({ letter }: { letter: DeadLetterDetail }) {
  return (
    <Panel title="Last error" label="Error">
      <div className="panel-body attempt-error">
        <p>{letter.error}</p>
        {letter.traceback && <Block text={letter.traceback} label="traceback" />}
      </div>
    </Panel>
  );
}

function Facts({ letter }: { letter: DeadLetterDetail }) {
  return (
    <FactsPanel
      facts={[
        ["Reason", `${letter.reason}: ${REASONS[letter.reason] ?? "see the docs"}`],
        when("Died", letter.died_at),
        ...common(letter),
        ["Attempts", `${letter.attempt} of ${letter.max_retries + 1}`],
        letter.deaths > 0 && ["Deaths", whole(letter.deaths)],
        [
          "Like it",
          letter.group ? (
            <a key="like" className="link" href={href(["dead-letters"], { queue: letter.queue, group: letter.group })}>
              Same type and error
            </a>
          ) : (
            <span key="like" className="faint">
              Not counted in a group
            </span>
          ),
        ],
      ]}
    />
  );
}
