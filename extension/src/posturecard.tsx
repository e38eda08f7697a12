import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { Guarantee, Problem, Status } from './api';
import { failureIcon, successIcon } from './icons';
import { viewPosture } from './posture';
import type { IGuardModel } from './tokens';

/** How the current kernel is guarded, under which policy, and each guarantee. */
export function PostureCard(props: {
  model: IGuardModel;
  trans: TranslationBundle;
}): React.ReactElement {
  const { model, trans } = props;
  const view = viewPosture(model, trans);
  const status = model.status.state === 'ready' ? model.status.value : null;
  return (
    <section
      className="jp-Cloister-card"
      data-tone={view.tone}
      aria-label={trans.__('Posture')}
    >
      <div className="jp-Cloister-cardTitle">
        <view.icon.react tag="span" className="jp-Cloister-bigIcon" aria-hidden="true" />
        <div>
          <h3>{view.text}</h3>
          {view.detail && <p className="jp-Cloister-faint">{view.detail}</p>}
        </div>
      </div>
      {status && <Facts status={status} trans={trans} />}
      {status?.problems.map(problem => (
        <ProblemNote key={problem.code} problem={problem} />
      ))}
      {view.guarantees.length > 0 && (
        <Guarantees guarantees={view.guarantees} trans={trans} />
      )}
    </section>
  );
}

function Facts(props: { status: Status; trans: TranslationBundle }): React.ReactElement {
  const { status, trans } = props;
  const { kernel, policy } = status;
  const facts: [string, React.ReactNode][] = [
    [
      trans.__('Policy'),
      policy.valid ? (
        <span title={policy.digest ?? ''}>
          {policy.name} <code>{policy.digest?.slice(0, 8)}</code>
        </span>
      ) : (
        trans.__('not valid')
      )
    ]
  ];
  if (kernel) {
    facts.push([
      trans.__('Sandbox'),
      kernel.sandbox === 'none' ? trans.__('none') : kernel.sandbox
    ]);
    if (kernel.user) {
      facts.push([trans.__('User'), kernel.user]);
    }
  }
  return (
    <dl className="jp-Cloister-facts">
      {facts.map(([term, value]) => (
        <React.Fragment key={term}>
          <dt>{term}</dt>
          <dd>{value}</dd>
        </React.Fragment>
      ))}
    </dl>
  );
}

function ProblemNote(props: { problem: Problem }): React.ReactElement {
  const { code, message, remedy } = props.problem;
  return (
    <div className="jp-Cloister-note" data-tone="warn">
      <p className="jp-Cloister-strong">{message}</p>
      {remedy && <p>{remedy}</p>}
      <p className="jp-Cloister-faint">{code}</p>
    </div>
  );
}

function Guarantees(props: {
  guarantees: readonly Guarantee[];
  trans: TranslationBundle;
}): React.ReactElement {
  const { guarantees, trans } = props;
  const holding = guarantees.filter(guarantee => guarantee.holds).length;
  const isWhole = holding === guarantees.length;
  return (
    <details className="jp-Cloister-guarantees" open={!isWhole}>
      <summary>
        {trans.__('%1 of %2 guarantees hold', holding, guarantees.length)}
      </summary>
      <ul>
        {guarantees.map(guarantee => (
          <li key={guarantee.id} data-tone={guarantee.holds ? 'good' : 'bad'}>
            {guarantee.holds ? (
              <successIcon.react tag="span" className="jp-Cloister-icon" aria-hidden="true" />
            ) : (
              <failureIcon.react tag="span" className="jp-Cloister-icon" aria-hidden="true" />
            )}
            <div>
              <span className="jp-Cloister-strong">{guarantee.id}</span>
              <span className="jp-Cloister-srOnly">
                {guarantee.holds ? trans.__('holds') : trans.__('does not hold')}
              </span>
              {guarantee.why && <p className="jp-Cloister-faint">{guarantee.why}</p>}
              {!guarantee.holds && guarantee.fix && <p>{guarantee.fix}</p>}
            </div>
          </li>
        ))}
      </ul>
    </details>
  );
}
