import { Fault } from '../faults.ts';

export type LedgerErrorCode =
  | 'ledger_locked'
  | 'ledger_missing'
  | 'ledger_newer'
  | 'ledger_older'
  | 'ledger_read_only'
  | 'ledger_closed'
  | 'ledger_unfit'
  | 'ledger_rolled_back';

/** The books cannot be opened, or not be used in this way. The message names the file and the mend, for the operator. */
export class LedgerError extends Error {
  readonly code: LedgerErrorCode;

  constructor(code: LedgerErrorCode, message: string) {
    super(message);
    this.name = 'LedgerError';
    this.code = code;
  }
}

/** The refusal a caller sees while nothing can be written. `new StorageFault('SQLITE_FULL').status` is 503. */
export class StorageFault extends Fault {
  /** SQLite's code, or why there is no writer. */
  readonly detail: string;

  constructor(detail: string) {
    const mend = isLock(detail) ? 'Another process keeps them locked; try again once it is done.' : 'Free space or mend the disk, then try again.';
    super('storage_unavailable', { fill: { detail, mend }, retryAfterS: 5 });
    this.detail = detail;
  }

  /** Another process kept the write lock for as long as a write waits. */
  get isBusy(): boolean {
    return isLock(this.detail);
  }
}

function isLock(detail: string): boolean {
  return detail.startsWith('SQLITE_BUSY');
}

export function closedError(): LedgerError {
  return new LedgerError('ledger_closed', 'The ledger is closed.');
}
