import type { LimitRefusal, ToDesk } from '../gateway/index.ts';
import type { Sent, StorageState, Told } from '../ledger/index.ts';
import type { Settings } from '../settings/index.ts';

/** What a process that serves needs to begin. */
export interface Begin {
  readonly no: number;
  /** How many serve. */
  readonly of: number;
  readonly settings: Settings;
  readonly host: string;
  readonly port: number;
  readonly version: string;
}

/** What a process that serves may ask of the primary. */
export interface ToPrimary extends ToDesk {
  /** Everything that it needs is built: it may be told what the desk knows. */
  readonly sit: { readonly ask: undefined; readonly answer: void };
  readonly listening: { readonly ask: number; readonly answer: void };
  /** It cannot begin. */
  readonly unable: { readonly ask: { readonly message: string; readonly code: string | undefined; readonly syscall: string | undefined }; readonly answer: void };
  readonly write: { readonly ask: Sent; readonly answer: Told | Limited };
  /** How the disk under the books stands: what it did to the last write is known where all are written. */
  readonly storage: { readonly ask: undefined; readonly answer: StorageState };
  /** Has the master key made, should there be none: one process alone may make it. */
  readonly vault: { readonly ask: undefined; readonly answer: void };
}

/** Instead of an answer to a hold: the request did not pass the limits, and none was taken. */
export interface Limited {
  readonly limited: LimitRefusal;
}

/** What the primary has a process that serves do. */
export interface ToServing {
  readonly begin: { readonly ask: Begin; readonly answer: void };
  readonly reload: { readonly ask: Settings; readonly answer: void };
  /** Lets what runs end, for at most so many milliseconds, then leaves. */
  readonly drain: { readonly ask: number; readonly answer: void };
  /** Cuts off what runs, then leaves. */
  readonly stop: { readonly ask: undefined; readonly answer: void };
}
