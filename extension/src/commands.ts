import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { refreshIcon } from '@jupyterlab/ui-components';
import type { CommandRegistry } from '@lumino/commands';

import { cloisterIcon, successIcon } from './icons';
import { CommandIDs, type IGuardModel } from './tokens';

/**
 * Adds the commands.
 *
 * @param open - shows the panel and moves the focus into it.
 */
export function addCommands(
  commands: CommandRegistry,
  model: IGuardModel,
  trans: TranslationBundle,
  open: () => void
): void {
  commands.addCommand(CommandIDs.openPanel, {
    label: trans.__('Show Guard and Record'),
    caption: trans.__('Show how the kernel is guarded and what was recorded'),
    icon: cloisterIcon,
    execute: async () => {
      // The command palette gives the focus back to the document as soon as a command returns, so
      // the panel asks for it after that.
      await Promise.resolve();
      open();
    },
    describedBy: { args: NO_ARGUMENTS }
  });
  commands.addCommand(CommandIDs.verifyRecord, {
    label: trans.__('Verify the Record'),
    caption: trans.__('Check that no recorded event was changed or removed'),
    icon: successIcon,
    isEnabled: () => !model.isVerifying,
    execute: async () => {
      const report = await model.verify();
      if (report?.ok) {
        Notification.success(
          trans.__(
            'Record verified · %1',
            trans._n('%1 event', '%1 events', report.events)
          ),
          { autoClose: 4000 }
        );
      } else {
        open();
      }
      return report ? { ...report } : null;
    },
    describedBy: { args: NO_ARGUMENTS }
  });
  commands.addCommand(CommandIDs.refreshExecutions, {
    label: trans.__('Refresh Executions'),
    caption: trans.__('Ask the server again for posture and executions'),
    icon: refreshIcon,
    execute: () => model.refresh(),
    describedBy: { args: NO_ARGUMENTS }
  });
}

const NO_ARGUMENTS = { type: 'object', properties: {} } as const;
