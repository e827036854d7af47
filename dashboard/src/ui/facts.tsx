import { Fragment, type ReactNode } from "react";
import { Panel } from "./panel";
import { Ago, Clock } from "./times";

/** A name, and what is known under it. Those that are false are left out. */
export type Fact = readonly [name: string, value: ReactNode] | false;

/** What is known of one thing, one below the other. */
export function FactsPanel({ title = "Facts", facts }: { title?: string; facts: readonly Fact[] }) {
  return (
    <Panel title={title}>
      <dl className="panel-body facts">
        {facts.map(
          (fact) =>
            fact && (
              <Fragment key={fact[0]}>
                <dt>{fact[0]}</dt>
                <dd>{fact[1]}</dd>
              </Fragment>
            ),
        )}
      </dl>
    </Panel>
  );
}

/** The fact of when something was: how long ago, and by the clock, as logs have it. */
export const when = (name: string, at: string | null): Fact => [
  name,
  <Fragment key={name}>
    <Ago at={at} suffix />
    {at && (
      <span className="muted">
        , <Clock at={at} />
      </span>
    )}
  </Fragment>,
];
