import { VDomModel } from '@jupyterlab/ui-components';

import type { Execution, ExecutionPage, Status, VerifyReport } from './api';
import { type CloisterClient, RequestError } from './client';
import type { KernelFollower } from './follower';
import type { ExecutionList, IGuardModel, Loadable, Scope } from './tokens';

/** A burst of kernel messages becomes one question to the server. */
const SETTLE_MS = 250;
/** The record is not checked by itself more often than this. */
const VERIFY_EVERY_MS = 30_000;

/**
 * Keeps what the status item and the panel show.
 *
 * It asks the server when the kernel changes or comes to rest, and when the page is seen again;
 * never on a clock, and never while the page is hidden.
 */
export class GuardModel extends VDomModel implements IGuardModel {
  constructor(
    private readonly _client: CloisterClient,
    private readonly _follower: KernelFollower
  ) {
    super();
    _follower.changed.connect(this._onKernelChanged, this);
    _follower.settled.connect(this._onSettled, this);
    document.addEventListener('visibilitychange', this._onSeen);
    window.addEventListener('focus', this._onSeen);
    this._schedule();
  }

  /** How many executions to ask for at once. */
  pageSize = 25;

  /** Whether to check the record when the panel shows one that has grown. */
  verifiesAutomatically = true;

  get kernelId(): string | null {
    return this._follower.kernelId;
  }

  get hasContext(): boolean {
    return this._follower.hasContext;
  }

  get status(): Loadable<Status> {
    return this._status;
  }

  get executions(): Loadable<ExecutionList> {
    return this._executions;
  }

  get isVerifying(): boolean {
    return this._isVerifying;
  }

  get verifyError(): RequestError | null {
    return this._verifyError;
  }

  get scope(): Scope {
    return this._scope;
  }
  set scope(scope: Scope) {
    if (scope === this._scope) {
      return;
    }
    this._scope = scope;
    this._executions = { state: 'loading' };
    this.stateChanged.emit();
    void this._refreshExecutions();
  }

  get isListVisible(): boolean {
    return this._isListVisible;
  }
  set isListVisible(isVisible: boolean) {
    if (isVisible === this._isListVisible) {
      return;
    }
    this._isListVisible = isVisible;
    if (isVisible) {
      this._schedule(0);
    }
  }

  override dispose(): void {
    if (this.isDisposed) {
      return;
    }
    window.clearTimeout(this._timer);
    document.removeEventListener('visibilitychange', this._onSeen);
    window.removeEventListener('focus', this._onSeen);
    this._follower.dispose();
    super.dispose();
  }

  async refresh(): Promise<void> {
    await Promise.all([this._refreshStatus(), this._refreshExecutions()]);
    await this._verifyIfDue();
  }

  async loadMore(): Promise<void> {
    const list = this._executions;
    if (list.state !== 'ready' || list.value.isLoadingMore || this._nextBefore === null) {
      return;
    }
    const asked = this._executionsAsked;
    const before = this._nextBefore;
    this._setExecutions({ state: 'ready', value: { ...list.value, isLoadingMore: true } });
    try {
      const page = await this._fetchPage(before);
      if (asked !== this._executionsAsked) {
        return;
      }
      this._nextBefore = page.next_before;
      this._setExecutions(ready([...list.value.items, ...page.executions], page.next_before));
    } catch (error) {
      if (asked === this._executionsAsked) {
        this._setExecutions({ state: 'failed', error: asRequestError(error) });
      }
    }
  }

  async verify(): Promise<VerifyReport | null> {
    return this._verify(true);
  }

  private async _verify(force: boolean): Promise<VerifyReport | null> {
    if (this._isVerifying) {
      return null;
    }
    this._isVerifying = true;
    this._verifyError = null;
    this.stateChanged.emit();
    let report: VerifyReport | null = null;
    try {
      report = await this._client.verify(force);
    } catch (error) {
      this._verifyError = asRequestError(error);
    }
    this._isVerifying = false;
    this._verifiedAt = Date.now();
    await this._refreshStatus();
    this.stateChanged.emit();
    return report;
  }

  private async _verifyIfDue(): Promise<void> {
    const isDue =
      this.verifiesAutomatically &&
      this._isListVisible &&
      !document.hidden &&
      this._status.state === 'ready' &&
      this._status.value.home_ok &&
      this._status.value.record.ok === null &&
      Date.now() - this._verifiedAt > VERIFY_EVERY_MS;
    if (isDue) {
      await this._verify(false);
    }
  }

  private async _refreshStatus(): Promise<void> {
    const asked = ++this._statusAsked;
    let status: Loadable<Status>;
    try {
      status = { state: 'ready', value: await this._client.status(this.kernelId) };
    } catch (error) {
      // What was true before may not be true now: an old "guarded" must not stay.
      status = { state: 'failed', error: asRequestError(error) };
    }
    if (asked === this._statusAsked && !this.isDisposed) {
      this._status = status;
      this.stateChanged.emit();
    }
  }

  private async _refreshExecutions(): Promise<void> {
    if (!this._isListVisible) {
      return;
    }
    const asked = ++this._executionsAsked;
    const old = this._executions.state === 'ready' ? this._executions.value.items : [];
    const oldNext = this._nextBefore;
    try {
      const page = await this._fetchPage(null);
      if (asked === this._executionsAsked) {
        const [items, next] = joinPages(page, old, oldNext);
        this._nextBefore = next;
        this._setExecutions(ready(items, next));
      }
    } catch (error) {
      if (asked === this._executionsAsked) {
        this._setExecutions({ state: 'failed', error: asRequestError(error) });
      }
    }
  }

  private async _fetchPage(before: number | null): Promise<ExecutionPage> {
    const kernelId = this._scope === 'kernel' ? this.kernelId : null;
    if (this._scope === 'kernel' && kernelId === null) {
      return { executions: [], next_before: null };
    }
    return this._client.executions({ limit: this.pageSize, before, kernelId });
  }

  private _setExecutions(executions: Loadable<ExecutionList>): void {
    if (!this.isDisposed) {
      this._executions = executions;
      this.stateChanged.emit();
    }
  }

  private _onKernelChanged(): void {
    this._statusAsked++;
    this._status = { state: 'loading' };
    if (this._scope === 'kernel') {
      this._executionsAsked++;
      this._executions = { state: 'loading' };
      this._nextBefore = null;
    }
    this.stateChanged.emit();
    this._schedule();
  }

  private _onSettled(): void {
    this._schedule();
  }

  private _schedule(delay = SETTLE_MS): void {
    this._isStale = true;
    window.clearTimeout(this._timer);
    this._timer = window.setTimeout(() => {
      if (!document.hidden && this._isStale) {
        this._isStale = false;
        void this.refresh();
      }
    }, delay);
  }

  private readonly _onSeen = (): void => {
    if (!document.hidden) {
      this._schedule();
    }
  };

  private _status: Loadable<Status> = { state: 'loading' };
  private _executions: Loadable<ExecutionList> = { state: 'loading' };
  private _nextBefore: number | null = null;
  private _scope: Scope = 'kernel';
  private _isListVisible = false;
  private _isStale = false;
  private _isVerifying = false;
  private _verifyError: RequestError | null = null;
  private _verifiedAt = 0;
  private _statusAsked = 0;
  private _executionsAsked = 0;
  private _timer = 0;
}

function ready(items: readonly Execution[], next: number | null): Loadable<ExecutionList> {
  return { state: 'ready', value: { items, hasMore: next !== null, isLoadingMore: false } };
}

/**
 * Puts a fresh first page before what was loaded, without a gap and without a double.
 *
 * @returns the executions, and where the next older page begins.
 */
export function joinPages(
  page: ExecutionPage,
  old: readonly Execution[],
  oldNext: number | null
): [readonly Execution[], number | null] {
  const last = page.executions.at(-1);
  const meets = last !== undefined && old.some(item => item.seq === last.seq);
  if (!meets) {
    return [page.executions, page.next_before];
  }
  return [[...page.executions, ...old.filter(item => item.seq < last.seq)], oldNext];
}

function asRequestError(error: unknown): RequestError {
  if (error instanceof RequestError) {
    return error;
  }
  return new RequestError(0, { code: 'CLO-LAB-000', message: '', remedy: '' });
}
