import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { ISessionContext } from '@jupyterlab/apputils';
import type { ConsolePanel, IConsoleTracker } from '@jupyterlab/console';
import type { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import type { IDisposable } from '@lumino/disposable';
import { type ISignal, Signal } from '@lumino/signaling';
import type { Widget } from '@lumino/widgets';

/** Follows the kernel of the current notebook or console. */
export class KernelFollower implements IDisposable {
  constructor(
    private readonly _shell: JupyterFrontEnd.IShell,
    private readonly _notebooks: INotebookTracker | null,
    private readonly _consoles: IConsoleTracker | null
  ) {
    _shell.currentChanged?.connect(this._follow, this);
    _notebooks?.currentChanged.connect(this._follow, this);
    _consoles?.currentChanged.connect(this._follow, this);
    this._follow();
  }

  /** The current document is another one, or its kernel is. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The kernel did something and now rests, or went away. */
  get settled(): ISignal<this, void> {
    return this._settled;
  }

  get hasContext(): boolean {
    return this._context !== null;
  }

  get kernelId(): string | null {
    return this._context?.session?.kernel?.id ?? null;
  }

  get isDisposed(): boolean {
    return this._isDisposed;
  }

  dispose(): void {
    this._isDisposed = true;
    Signal.clearData(this);
  }

  private _follow(): void {
    const context = this._contextOf(this._shell.currentWidget);
    if (context === this._context) {
      return;
    }
    const old = this._context;
    if (old) {
      old.kernelChanged.disconnect(this._onKernelChanged, this);
      old.statusChanged.disconnect(this._onStatusChanged, this);
      old.disposed.disconnect(this._onDisposed, this);
    }
    this._context = context;
    if (context) {
      context.kernelChanged.connect(this._onKernelChanged, this);
      context.statusChanged.connect(this._onStatusChanged, this);
      context.disposed.connect(this._onDisposed, this);
    }
    this._changed.emit();
  }

  private _contextOf(widget: Widget | null): ISessionContext | null {
    if (!widget) {
      return null;
    }
    if (this._notebooks?.has(widget)) {
      return (widget as NotebookPanel).sessionContext;
    }
    if (this._consoles?.has(widget)) {
      return (widget as ConsolePanel).sessionContext;
    }
    return null;
  }

  private _onKernelChanged(): void {
    this._changed.emit();
  }

  private _onStatusChanged(_: ISessionContext, status: string): void {
    if (status !== 'busy') {
      this._settled.emit();
    }
  }

  private _onDisposed(): void {
    this._context = null;
    this._changed.emit();
  }

  private _context: ISessionContext | null = null;
  private _isDisposed = false;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _settled = new Signal<this, void>(this);
}
