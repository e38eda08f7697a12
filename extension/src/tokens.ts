import type { VDomRenderer } from '@jupyterlab/ui-components';
import { Token } from '@lumino/coreutils';

import type { Execution, Status, VerifyReport } from './api';
import type { RequestError } from './client';

export const PLUGIN_ID = '@cloister/lab:plugin';
export const STATUS_PLUGIN_ID = '@cloister/lab:status';
export const PANEL_PLUGIN_ID = '@cloister/lab:panel';

export const CommandIDs = {
  openPanel: 'cloister:open-panel',
  verifyRecord: 'cloister:verify-record',
  refreshExecutions: 'cloister:refresh-executions'
} as const;

/** Which executions the list holds. */
export type Scope = 'kernel' | 'all';

/** Something that is asked of the server: an old value is never shown as if it were new. */
export type Loadable<T> =
  | { readonly state: 'loading' }
  | { readonly state: 'ready'; readonly value: T }
  | { readonly state: 'failed'; readonly error: RequestError };

export interface ExecutionList {
  readonly items: readonly Execution[];
  readonly hasMore: boolean;
  readonly isLoadingMore: boolean;
}

/** What the status item and the panel show. */
export interface IGuardModel extends VDomRenderer.IModel {
  /** The kernel of the current notebook or console; null when there is none. */
  readonly kernelId: string | null;
  /** Whether the current document can have a kernel. */
  readonly hasContext: boolean;
  readonly status: Loadable<Status>;
  readonly executions: Loadable<ExecutionList>;
  /** Whether the record is being checked now. */
  readonly isVerifying: boolean;
  /** Why the last check could not be made, if so. */
  readonly verifyError: RequestError | null;
  scope: Scope;
  /** Whether anyone sees the list; nothing is asked for a list that nobody sees. */
  isListVisible: boolean;
  refresh(): Promise<void>;
  loadMore(): Promise<void>;
  /** Checks the whole record again; null when the check could not be made. */
  verify(): Promise<VerifyReport | null>;
}

export const IGuardModel = new Token<IGuardModel>(
  '@cloister/lab:IGuardModel',
  'What Cloister guards: the posture of the current kernel, and the record.'
);
