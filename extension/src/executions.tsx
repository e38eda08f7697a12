import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { ExecutionRow } from './executionrow';
import { Failure } from './failure';
import type { ExecutionList, IGuardModel, Scope } from './tokens';

/** The last executions, of this kernel or of all. */
export function ExecutionsSection(props: {
  model: IGuardModel;
  trans: TranslationBundle;
}): React.ReactElement {
  const { model, trans } = props;
  const { executions } = model;
  return (
    <section className="jp-Cloister-executions" aria-label={trans.__('Executions')}>
      <div className="jp-Cloister-sectionTitle">
        <h3>{trans.__('Executions')}</h3>
        <ScopeSwitch model={model} trans={trans} />
      </div>
      {executions.state === 'loading' && (
        <p className="jp-Cloister-empty">{trans.__('Loading…')}</p>
      )}
      {executions.state === 'failed' && (
        <Failure error={executions.error} trans={trans} onRetry={() => void model.refresh()} />
      )}
      {executions.state === 'ready' && (
        <List list={executions.value} model={model} trans={trans} />
      )}
    </section>
  );
}

function ScopeSwitch(props: {
  model: IGuardModel;
  trans: TranslationBundle;
}): React.ReactElement {
  const { model, trans } = props;
  const choices: [Scope, string][] = [
    ['kernel', trans.__('This kernel')],
    ['all', trans.__('All')]
  ];
  return (
    <div className="jp-Cloister-switch" role="group" aria-label={trans.__('Which executions')}>
      {choices.map(([scope, text]) => (
        <button
          key={scope}
          type="button"
          aria-pressed={model.scope === scope}
          onClick={() => {
            model.scope = scope;
          }}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

function List(props: {
  list: ExecutionList;
  model: IGuardModel;
  trans: TranslationBundle;
}): React.ReactElement {
  const { list, model, trans } = props;
  const now = new Date();
  if (list.items.length === 0 && !list.hasMore) {
    return (
      <p className="jp-Cloister-empty">
        {model.scope === 'all'
          ? trans.__('Nothing was executed yet.')
          : model.kernelId === null
            ? trans.__('Open a notebook or console, or look at all kernels.')
            : trans.__('This kernel has no recorded executions.')}
      </p>
    );
  }
  return (
    <>
      <ul className="jp-Cloister-list">
        {list.items.map(item => (
          <ExecutionRow key={item.id} execution={item} now={now} trans={trans} />
        ))}
      </ul>
      {list.hasMore && (
        <button
          type="button"
          className="jp-Cloister-button jp-Cloister-more"
          disabled={list.isLoadingMore}
          onClick={() => void model.loadMore()}
        >
          {list.isLoadingMore ? trans.__('Loading…') : trans.__('Load more')}
        </button>
      )}
    </>
  );
}
