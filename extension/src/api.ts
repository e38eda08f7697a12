/**
 * What the server extension answers under `cloister/api/v1`.
 *
 * These types repeat `cloister_lab/schemas/api.json`; `tests/lab` checks the server's answers
 * against that schema and the schema's names against this file.
 */

/** How well a kernel is guarded, in one word. */
export type PostureName = 'guarded' | 'degraded' | 'unguarded';

/** One promise, and whether it holds here. */
export interface Guarantee {
  id: string;
  holds: boolean;
  why: string;
  fix: string;
}

/** Something that went wrong; never holds a data value. */
export interface Problem {
  code: string;
  message: string;
  remedy: string;
  id?: string;
}

export interface PolicyFacts {
  name: string | null;
  digest: string | null;
  valid: boolean;
  problem?: Problem;
}

export interface RecordFacts {
  /** Whether the record as it is now was checked and held; null when it was not checked. */
  ok: boolean | null;
  /** The last check, of the record as it was then. */
  last: VerifyReport | null;
}

export interface KernelFacts {
  kernel_id: string;
  guarded: boolean;
  sandbox: 'bubblewrap' | 'landlock' | 'none';
  posture: PostureName;
  user: string | null;
  notebook: string | null;
  policy_digest: string | null;
  guarantees: Guarantee[];
}

export interface Status {
  /** The policy's; null while it is not valid. */
  mode: 'observe' | 'guard' | 'enclave' | null;
  version: string;
  posture: 'guarded' | 'degraded';
  problems: Problem[];
  policy: PolicyFacts;
  home_ok: boolean;
  record: RecordFacts;
  kernel: KernelFacts | null;
}

/** A file or dataset that a cell read. */
export interface ReadFact {
  path?: string;
  dataset?: string | null;
  format?: string;
  attested_by?: string;
}

/** A connection that a cell made or tried. */
export interface EgressFact {
  host: string;
  port: number;
  decision: 'allow' | 'block';
  rule?: string;
  via?: string;
  attested_by?: string;
}

export interface OutputCounts {
  shown: number;
  masked: number;
  blocked: number;
}

/** One execution, in the shape of `cloister lineage list --json`. */
export interface Execution {
  id: string;
  seq: number;
  time: string;
  user: string | null;
  notebook: string | null;
  kernel_id: string | null;
  execution_count: number | null;
  code_sha256: string | null;
  status: string;
  duration_s: number | null;
  reads: ReadFact[];
  outputs: OutputCounts;
  egress: EgressFact[];
  labels: string[];
  trace_id: string | null;
}

export interface ExecutionPage {
  executions: Execution[];
  /** Pass as `before` to get the next older page; null at the end. */
  next_before: number | null;
}

export interface VerifyReport {
  ok: boolean;
  events: number;
  root: string;
  checkpoints: number;
  first_bad: number | null;
  problems: string[];
  /** Seconds since 1970. */
  checked_at: number;
}
