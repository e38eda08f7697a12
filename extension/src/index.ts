import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IConsoleTracker } from '@jupyterlab/console';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { CloisterClient } from './client';
import { addCommands } from './commands';
import { KernelFollower } from './follower';
import { GuardModel } from './model';
import { CloisterPanel } from './panel';
import { applySettings } from './settings';
import { PostureStatus } from './status';
import {
  CommandIDs,
  IGuardModel,
  PANEL_PLUGIN_ID,
  PLUGIN_ID,
  STATUS_PLUGIN_ID
} from './tokens';

const DOMAIN = 'cloister';

const model: JupyterFrontEndPlugin<IGuardModel> = {
  id: PLUGIN_ID,
  description: 'Knows how the current kernel is guarded and what was recorded.',
  autoStart: true,
  provides: IGuardModel,
  optional: [INotebookTracker, IConsoleTracker, ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    notebooks: INotebookTracker | null,
    consoles: IConsoleTracker | null,
    settings: ISettingRegistry | null
  ) => {
    const follower = new KernelFollower(app.shell, notebooks, consoles);
    const guard = new GuardModel(new CloisterClient(app.serviceManager.serverSettings), follower);
    void applySettings(guard, settings);
    return guard;
  }
};

const status: JupyterFrontEndPlugin<void> = {
  id: STATUS_PLUGIN_ID,
  description: 'Shows the posture of the current kernel in the status bar.',
  autoStart: true,
  requires: [IGuardModel, IStatusBar],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    guard: IGuardModel,
    statusBar: IStatusBar,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const item = new PostureStatus(guard, trans, () => {
      void app.commands.execute(CommandIDs.openPanel);
    });
    statusBar.registerStatusItem(STATUS_PLUGIN_ID, {
      item,
      align: 'left',
      rank: 3,
      priority: 1,
      isActive: () => guard.hasContext,
      activeStateChanged: guard.stateChanged
    });
  }
};

const panel: JupyterFrontEndPlugin<void> = {
  id: PANEL_PLUGIN_ID,
  description: 'The side panel with posture, record and executions, and its commands.',
  autoStart: true,
  requires: [IGuardModel],
  optional: [ICommandPalette, ILayoutRestorer, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    guard: IGuardModel,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
    translator: ITranslator | null
  ) => {
    const trans = (translator ?? nullTranslator).load(DOMAIN);
    const widget = new CloisterPanel(guard, trans);
    app.shell.add(widget, 'right', { rank: 700, type: 'Cloister' });
    restorer?.add(widget, widget.id);
    addCommands(app.commands, guard, trans, () => app.shell.activateById(widget.id));
    for (const command of Object.values(CommandIDs)) {
      palette?.addItem({ command, category: trans.__('Cloister') });
    }
  }
};

export default [model, status, panel];
export { IGuardModel } from './tokens';
