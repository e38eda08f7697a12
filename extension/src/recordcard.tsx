import type { TranslationBundle } from '@jupyterlab/translation';
import type { LabIcon } from '@jupyterlab/ui-components';
import * as React from 'react';

import type { RecordFacts } from './api';
import { degradedIcon, failureIcon, pendingIcon, successIcon } from './icons';
import type { IGuardModel } from './tokens';

interface RecordView {
  tone: 'good' | 'warn' | 'bad' | 'quiet';
  icon: LabIcon;
  text: string;
  notes: readonly string[];
}

/** Whether the record is whole, and a button that checks it. */
export function RecordCard(props: {
  model: IGuardModel;
  trans: TranslationBundle;
}): React.ReactElement {
  const { model, trans } = props;
  const view = viewRecord(model, trans);
  return (
    <section className="jp-Cloister-card" data-tone={view.tone} aria-label={trans.__('Record')}>
      <div className="jp-Cloister-recordLine">
        <view.icon.react tag="span" className="jp-Cloister-icon" aria-hidden="true" />
        <h3 aria-live="polite">{view.text}</h3>
        <button
          type="button"
          className="jp-Cloister-button"
          aria-disabled={model.isVerifying}
          onClick={() => void model.verify()}
        >
          {trans.__('Verify')}
        </button>
      </div>
      {view.notes.length > 0 && (
        <div className="jp-Cloister-note" data-tone={view.tone} role="alert">
          {view.notes.map(note => (
            <p key={note}>{note}</p>
          ))}
        </div>
      )}
    </section>
  );
}

function viewRecord(model: IGuardModel, trans: TranslationBundle): RecordView {
  if (model.isVerifying) {
    return { tone: 'quiet', icon: pendingIcon, text: trans.__('Verifying…'), notes: [] };
  }
  const error = model.verifyError;
  if (error) {
    return {
      tone: 'warn',
      icon: degradedIcon,
      text: trans.__('Record could not be checked'),
      notes: [
        error.problem.message || trans.__('The server could not check the record.'),
        error.problem.remedy
      ].filter(Boolean)
    };
  }
  const record = model.status.state === 'ready' ? model.status.value.record : null;
  return record?.last ? viewReport(record, trans) : unchecked(trans);
}

function viewReport(record: RecordFacts, trans: TranslationBundle): RecordView {
  const report = record.last;
  if (!report) {
    return unchecked(trans);
  }
  if (!report.ok) {
    return {
      tone: 'bad',
      icon: failureIcon,
      text: trans.__('Record is not intact'),
      notes: [
        report.first_bad === null
          ? trans.__('The record does not fit its checkpoints.')
          : trans.__('Event %1 is the first that does not fit.', report.first_bad),
        trans.__('Found: %1.', report.problems.join('; ')),
        trans.__(
          'Stop working with real data here, keep the files as they are, and tell an admin. Details: cloister lineage verify.'
        )
      ]
    };
  }
  const count = trans._n('%1 event', '%1 events', report.events);
  if (record.ok) {
    return {
      tone: 'good',
      icon: successIcon,
      text: trans.__('Record verified · %1', count),
      notes: []
    };
  }
  return {
    tone: 'quiet',
    icon: pendingIcon,
    text: trans.__('%1 verified; newer not yet', count),
    notes: []
  };
}

function unchecked(trans: TranslationBundle): RecordView {
  return { tone: 'quiet', icon: pendingIcon, text: trans.__('Record not verified yet'), notes: [] };
}
