import type { TranslationBundle } from '@jupyterlab/translation';
import { refreshIcon, VDomRenderer } from '@jupyterlab/ui-components';
import type { Message } from '@lumino/messaging';
import * as React from 'react';

import { ExecutionsSection } from './executions';
import { Failure } from './failure';
import { cloisterIcon } from './icons';
import { PostureCard } from './posturecard';
import { RecordCard } from './recordcard';
import type { IGuardModel } from './tokens';

/** The side panel: posture, record, executions. */
export class CloisterPanel extends VDomRenderer<IGuardModel> {
  constructor(
    model: IGuardModel,
    private readonly _trans: TranslationBundle
  ) {
    super(model);
    this.id = 'cloister-panel';
    this.addClass('jp-Cloister-panel');
    this.title.icon = cloisterIcon;
    this.title.caption = _trans.__('Cloister: guard and record');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', _trans.__('Cloister'));
  }

  protected override onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this.model.isListVisible = true;
  }

  protected override onAfterHide(msg: Message): void {
    super.onAfterHide(msg);
    this.model.isListVisible = false;
  }

  protected override onActivateRequest(msg: Message): void {
    super.onActivateRequest(msg);
    if (this._firstButton) {
      this._firstButton.focus();
    } else {
      // The first time, the panel is asked for before it has been drawn.
      this._focusWhenDrawn = true;
    }
  }

  private readonly _holdFirstButton = (button: HTMLButtonElement | null): void => {
    this._firstButton = button;
    if (button && this._focusWhenDrawn) {
      this._focusWhenDrawn = false;
      button.focus();
    }
  };

  protected override render(): React.ReactElement {
    const { model, _trans: trans } = this;
    const { status } = model;
    return (
      <>
        <header className="jp-Cloister-header">
          <h2>{trans.__('Cloister')}</h2>
          <button
            ref={this._holdFirstButton}
            type="button"
            className="jp-Cloister-iconButton"
            title={trans.__('Refresh')}
            aria-label={trans.__('Refresh')}
            onClick={() => void model.refresh()}
          >
            <refreshIcon.react tag="span" className="jp-Cloister-icon" aria-hidden="true" />
          </button>
        </header>
        {status.state === 'failed' ? (
          <Failure error={status.error} trans={trans} onRetry={() => void model.refresh()} />
        ) : (
          <>
            <PostureCard model={model} trans={trans} />
            <RecordCard model={model} trans={trans} />
            <ExecutionsSection model={model} trans={trans} />
          </>
        )}
      </>
    );
  }

  private _firstButton: HTMLButtonElement | null = null;
  private _focusWhenDrawn = false;
}
