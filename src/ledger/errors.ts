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

/** The refusal a caller sees while nothing can be written. `storageFault('SQLITE_FULL').status` is 503. */
export function storageFault(detail: string): Fault {
  return new Fault('storage_unavailable', { fill: { detail }, retryAfterS: 5 });
}

export function closedError(): LedgerError {
  return new LedgerError('ledger_closed', 'The ledger is closed.');
}
