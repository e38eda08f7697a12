import type { TranslationBundle } from '@jupyterlab/translation';
import { VDomRenderer } from '@jupyterlab/ui-components';
import * as React from 'react';

import { type PostureView, viewPosture } from './posture';
import type { IGuardModel } from './tokens';

/** The posture of the current kernel in the status bar; a click opens the panel. */
export class PostureStatus extends VDomRenderer<IGuardModel> {
  constructor(
    model: IGuardModel,
    private readonly _trans: TranslationBundle,
    private readonly _open: () => void
  ) {
    super(model);
    this.addClass('jp-mod-highlighted');
    this.addClass('jp-Cloister-statusItem');
  }

  protected override render(): React.ReactElement {
    const view = viewPosture(this.model, this._trans);
    const tooltip = describe(view, this._trans);
    this.node.title = tooltip;
    return (
      <button
        type="button"
        className="jp-Cloister-statusButton"
        data-tone={view.tone}
        aria-label={this._trans.__('Cloister: %1. Open the panel.', view.text)}
        onClick={this._open}
      >
        <view.icon.react tag="span" className="jp-Cloister-icon" aria-hidden="true" />
        <span aria-live="polite">{view.text}</span>
      </button>
    );
  }
}

/** Returns the tooltip: the posture, then each guarantee on a line of its own. */
function describe(view: PostureView, trans: TranslationBundle): string {
  const lines = view.guarantees.map(({ id, holds, why }) =>
    holds ? `✓ ${id}` : `✗ ${id}${why ? `: ${why}` : ''}`
  );
  return [trans.__('Cloister: %1', view.text), view.detail, ...lines].filter(Boolean).join('\n');
}
