import type { TranslationBundle } from '@jupyterlab/translation';
import type { LabIcon } from '@jupyterlab/ui-components';

import type { Guarantee } from './api';
import { cloisterIcon, degradedIcon, guardedIcon, pendingIcon, unguardedIcon } from './icons';
import type { IGuardModel } from './tokens';

/** How a posture looks. `tone` picks the colour; icon and text say the same without it. */
export interface PostureView {
  tone: 'good' | 'warn' | 'bad' | 'quiet';
  icon: LabIcon;
  text: string;
  /** One sentence for the panel; empty when the text says everything. */
  detail: string;
  guarantees: readonly Guarantee[];
}

/** Decides what to show for the current kernel. What is not known is never shown as guarded. */
export function viewPosture(model: IGuardModel, trans: TranslationBundle): PostureView {
  const { status } = model;
  if (status.state === 'loading') {
    return {
      tone: 'quiet',
      icon: pendingIcon,
      text: trans.__('Checking…'),
      detail: '',
      guarantees: []
    };
  }
  if (status.state === 'failed') {
    return {
      tone: 'warn',
      icon: degradedIcon,
      text: trans.__('Posture unknown'),
      detail: status.error.isServerPartMissing
        ? trans.__('The server part of Cloister is missing.')
        : trans.__('The server did not say how this kernel is guarded.'),
      guarantees: []
    };
  }
  const { kernel, problems } = status.value;
  const problem = problems[0]?.message ?? '';
  if (kernel === null) {
    if (problem) {
      return {
        tone: 'warn',
        icon: degradedIcon,
        text: trans.__('Degraded'),
        detail: problem,
        guarantees: []
      };
    }
    return {
      tone: 'quiet',
      icon: cloisterIcon,
      text: trans.__('No kernel'),
      detail: trans.__('Open a notebook or console to see how its kernel is guarded.'),
      guarantees: []
    };
  }
  const { guarantees } = kernel;
  if (kernel.posture === 'guarded') {
    return {
      tone: 'good',
      icon: guardedIcon,
      text: trans.__('Guarded'),
      detail: trans.__('What leaves this kernel is checked, masked and recorded.'),
      guarantees
    };
  }
  if (kernel.posture === 'unguarded') {
    return {
      tone: 'bad',
      icon: unguardedIcon,
      text: trans.__('Not guarded'),
      detail: trans.__('Nothing that leaves this kernel is masked or recorded.'),
      guarantees
    };
  }
  const broken = guarantees.filter(guarantee => !guarantee.holds).length;
  return {
    tone: 'warn',
    icon: degradedIcon,
    text:
      kernel.sandbox === 'none'
        ? trans.__('Degraded: no sandbox')
        : problem
          ? trans.__('Degraded')
          : trans._n('Degraded: %1 guarantee open', 'Degraded: %1 guarantees open', broken),
    detail:
      problem ||
      (kernel.sandbox === 'none'
        ? trans.__('Outputs are checked, but the kernel itself is not isolated.')
        : trans.__('Some guarantees do not hold on this machine.')),
    guarantees
  };
}
