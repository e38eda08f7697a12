import { LabIcon } from '@jupyterlab/ui-components';

import blocked from '../style/icons/blocked.svg';
import cloister from '../style/icons/cloister.svg';
import dataset from '../style/icons/dataset.svg';
import degraded from '../style/icons/degraded.svg';
import failure from '../style/icons/failure.svg';
import guarded from '../style/icons/guarded.svg';
import masked from '../style/icons/masked.svg';
import pending from '../style/icons/pending.svg';
import shown from '../style/icons/shown.svg';
import success from '../style/icons/success.svg';
import unguarded from '../style/icons/unguarded.svg';

const icon = (name: string, svgstr: string): LabIcon =>
  new LabIcon({ name: `cloister:${name}`, svgstr });

export const cloisterIcon = icon('cloister', cloister);

/** A shield in three states; the shape differs, not only the colour. */
export const guardedIcon = icon('guarded', guarded);
export const degradedIcon = icon('degraded', degraded);
export const unguardedIcon = icon('unguarded', unguarded);

export const successIcon = icon('success', success);
export const failureIcon = icon('failure', failure);
export const pendingIcon = icon('pending', pending);

export const shownIcon = icon('shown', shown);
export const maskedIcon = icon('masked', masked);
export const blockedIcon = icon('blocked', blocked);
export const datasetIcon = icon('dataset', dataset);
