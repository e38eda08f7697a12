import type { TranslationBundle } from '@jupyterlab/translation';
import type { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { EgressFact, Execution, ReadFact } from './api';
import { baseName, formatDuration, formatTime } from './format';
import {
  blockedIcon,
  datasetIcon,
  failureIcon,
  maskedIcon,
  pendingIcon,
  shownIcon,
  successIcon
} from './icons';

/** One execution: when, where, how it ended, and what it read, showed and tried to send. */
export const ExecutionRow = React.memo(function ExecutionRow(props: {
  execution: Execution;
  now: Date;
  trans: TranslationBundle;
}): React.ReactElement {
  const { execution, now, trans } = props;
  const { tone, icon: Icon, text } = viewStatus(execution.status, trans);
  const place = execution.notebook ?? trans.__('no notebook');
  return (
    <li className="jp-Cloister-row">
      <span data-tone={tone} title={text}>
        <Icon.react tag="span" className="jp-Cloister-icon" aria-hidden="true" />
        <span className="jp-Cloister-srOnly">{text}</span>
      </span>
      <div className="jp-Cloister-rowBody">
        <div className="jp-Cloister-rowLine">
          <code
            className="jp-Cloister-count"
            aria-label={
              execution.execution_count === null
                ? trans.__('cell without a number')
                : trans.__('cell %1', execution.execution_count)
            }
          >
            [{execution.execution_count ?? ' '}]
          </code>
          <span className="jp-Cloister-place" title={place}>
            {execution.notebook ? baseName(place) : place}
          </span>
          <time
            className="jp-Cloister-faint"
            dateTime={execution.time}
            title={new Date(execution.time).toLocaleString()}
          >
            {formatTime(execution.time, now)}
          </time>
        </div>
        <div className="jp-Cloister-rowLine jp-Cloister-faint">
          <Outputs execution={execution} trans={trans} />
          <span className="jp-Cloister-duration">
            {execution.duration_s === null ? text : formatDuration(execution.duration_s)}
          </span>
        </div>
        <Chips execution={execution} trans={trans} />
      </div>
    </li>
  );
});

function Outputs(props: {
  execution: Execution;
  trans: TranslationBundle;
}): React.ReactElement {
  const { execution, trans } = props;
  const { shown, masked, blocked } = execution.outputs;
  if (shown + masked + blocked === 0) {
    return <span>{trans.__('no output')}</span>;
  }
  return (
    <span className="jp-Cloister-outputs">
      {shown > 0 && (
        <Count
          icon={shownIcon}
          count={shown}
          text={trans._n('%1 output shown', '%1 outputs shown', shown)}
        />
      )}
      {masked > 0 && (
        <Count
          icon={maskedIcon}
          count={masked}
          tone="mask"
          text={trans._n('%1 output masked', '%1 outputs masked', masked)}
        />
      )}
      {blocked > 0 && (
        <Count
          icon={blockedIcon}
          count={blocked}
          tone="bad"
          text={trans._n('%1 output blocked', '%1 outputs blocked', blocked)}
        />
      )}
    </span>
  );
}

function Count(props: {
  icon: LabIcon;
  count: number;
  text: string;
  tone?: string;
}): React.ReactElement {
  const { icon: Icon, count, text, tone } = props;
  return (
    <span className="jp-Cloister-number" title={text} data-tone={tone}>
      <Icon.react tag="span" className="jp-Cloister-icon" aria-hidden="true" />
      <span aria-hidden="true">{count}</span>
      <span className="jp-Cloister-srOnly">{text}</span>
    </span>
  );
}

function Chips(props: {
  execution: Execution;
  trans: TranslationBundle;
}): React.ReactElement | null {
  const { execution, trans } = props;
  const denied = execution.egress.filter(fact => fact.decision === 'block');
  const reads = distinct(execution.reads.map(nameRead));
  const hosts = distinct(denied.map(nameHost));
  if (reads.length + hosts.length + execution.labels.length === 0) {
    return null;
  }
  return (
    <ul className="jp-Cloister-chips" aria-label={trans.__('What it touched')}>
      {reads.map(name => (
        <li key={`read-${name}`} title={trans.__('Read %1', name)}>
          <datasetIcon.react tag="span" className="jp-Cloister-icon" aria-hidden="true" />
          <span className="jp-Cloister-srOnly">{trans.__('read')}</span>
          <span className="jp-Cloister-chipText">{name}</span>
        </li>
      ))}
      {hosts.map(name => (
        <li key={`host-${name}`} data-tone="bad" title={trans.__('Connection to %1 denied', name)}>
          <blockedIcon.react tag="span" className="jp-Cloister-icon" aria-hidden="true" />
          <span className="jp-Cloister-srOnly">{trans.__('denied')}</span>
          <span className="jp-Cloister-chipText">{name}</span>
        </li>
      ))}
      {execution.labels.map(label => (
        <li key={`label-${label}`} data-tone="label" title={trans.__('Masked: %1', label)}>
          {label}
        </li>
      ))}
    </ul>
  );
}

function nameRead(fact: ReadFact): string {
  return fact.path ? baseName(fact.path) : (fact.dataset ?? '');
}

function nameHost(fact: EgressFact): string {
  return `${fact.host}:${fact.port}`;
}

function distinct(names: readonly string[]): readonly string[] {
  return [...new Set(names.filter(Boolean))];
}

function viewStatus(
  status: string,
  trans: TranslationBundle
): { tone: string; icon: LabIcon; text: string } {
  switch (status) {
    case 'ok':
      return { tone: 'good', icon: successIcon, text: trans.__('succeeded') };
    case 'error':
      return { tone: 'bad', icon: failureIcon, text: trans.__('ended with an error') };
    case 'aborted':
      return { tone: 'warn', icon: failureIcon, text: trans.__('was aborted') };
    case 'killed':
      return { tone: 'bad', icon: failureIcon, text: trans.__('was killed') };
    default:
      return { tone: 'quiet', icon: pendingIcon, text: trans.__('no result yet') };
  }
}
