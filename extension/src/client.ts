import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';

import type { ExecutionPage, Problem, Status, VerifyReport } from './api';

const ROOT = 'cloister/api/v1';

/** A request that the server refused or that never reached it. */
export class RequestError extends Error {
  constructor(
    /** HTTP status, or 0 when the server did not answer. */
    readonly status: number,
    readonly problem: Problem
  ) {
    super(problem.message);
  }

  /** The server runs, but the Cloister extension does not run in it. */
  get isServerPartMissing(): boolean {
    return this.status === 404;
  }
}

export interface ExecutionsQuery {
  limit: number;
  before?: number | null;
  kernelId?: string | null;
}

/** The only place that talks to the server extension. */
export class CloisterClient {
  constructor(
    private readonly _settings: ServerConnection.ISettings = ServerConnection.makeSettings()
  ) {}

  status(kernelId: string | null): Promise<Status> {
    return this._request<Status>('status', { kernel_id: kernelId });
  }

  executions(query: ExecutionsQuery): Promise<ExecutionPage> {
    return this._request<ExecutionPage>('executions', {
      limit: query.limit,
      before: query.before,
      kernel_id: query.kernelId
    });
  }

  /**
   * Checks the whole record.
   *
   * @param force - check again even if nothing changed since the last check.
   */
  verify(force: boolean): Promise<VerifyReport> {
    return this._request<VerifyReport>('verify', {}, force ? 'POST' : 'GET');
  }

  private async _request<T>(
    path: string,
    query: Record<string, string | number | null | undefined>,
    method: 'GET' | 'POST' = 'GET'
  ): Promise<T> {
    const given = Object.entries(query)
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => [name, String(value)] as const);
    const url =
      URLExt.join(this._settings.baseUrl, ROOT, path) +
      URLExt.objectToQueryString(Object.fromEntries(given));
    let response: Response;
    try {
      response = await ServerConnection.makeRequest(url, { method }, this._settings);
    } catch {
      throw new RequestError(0, { code: 'CLO-LAB-000', message: '', remedy: '' });
    }
    if (!response.ok) {
      throw new RequestError(response.status, await readProblem(response));
    }
    return (await response.json()) as T;
  }
}

async function readProblem(response: Response): Promise<Problem> {
  try {
    const body = (await response.json()) as Partial<Problem>;
    if (typeof body.code === 'string' && typeof body.message === 'string') {
      return {
        code: body.code,
        message: body.message,
        remedy: body.remedy ?? '',
        ...(body.id ? { id: body.id } : {})
      };
    }
  } catch {
    // Not from our server part; the status says what is known.
  }
  return { code: `HTTP-${response.status}`, message: '', remedy: '' };
}
