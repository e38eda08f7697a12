import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import type { RequestError } from './client';
import { degradedIcon } from './icons';

/** Says what failed and what to do about it. */
export function Failure(props: {
  error: RequestError;
  trans: TranslationBundle;
  onRetry: () => void;
}): React.ReactElement {
  const { error, trans, onRetry } = props;
  const { message, remedy, isCommand } = explain(error, trans);
  return (
    <div className="jp-Cloister-failure" role="alert">
      <degradedIcon.react tag="span" className="jp-Cloister-icon" aria-hidden="true" />
      <div>
        <p className="jp-Cloister-strong">{message}</p>
        {remedy && <p>{remedy}</p>}
        {isCommand && <code className="jp-Cloister-command">pip install "cloister[lab]"</code>}
        <p className="jp-Cloister-faint">
          {error.problem.code}
          {error.problem.id ? ` · ${error.problem.id}` : ''}
        </p>
        <button type="button" className="jp-Cloister-button" onClick={onRetry}>
          {trans.__('Try again')}
        </button>
      </div>
    </div>
  );
}

function explain(
  error: RequestError,
  trans: TranslationBundle
): { message: string; remedy: string; isCommand?: boolean } {
  if (error.isServerPartMissing) {
    return {
      message: trans.__('The server part of Cloister is not running.'),
      remedy: trans.__(
        'Install it in the environment of Jupyter Server, then restart the server:'
      ),
      isCommand: true
    };
  }
  if (error.status === 0) {
    return {
      message: trans.__('The server does not answer.'),
      remedy: trans.__('Check that Jupyter Server is running.')
    };
  }
  if (error.status === 403) {
    return {
      message: error.problem.message || trans.__('You may not see this.'),
      remedy: error.problem.remedy || trans.__('Ask an admin for access.')
    };
  }
  return {
    message: error.problem.message || trans.__('The server could not answer.'),
    remedy: error.problem.remedy
  };
}
