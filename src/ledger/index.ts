/** The books: accounts, keys, holds, transfers and what was used, kept exactly and durably. */
export { openForwarding, openLedger } from './open.ts';
export { heldIn } from './packing.ts';
export { isServed, lockRotation } from './connection.ts';
export { backupLedger, restoreLedger } from './backup.ts';
export { inspectLedger, sqliteVersion, type Inspection } from './inspect.ts';
export { LedgerError, StorageFault, type LedgerErrorCode } from './errors.ts';
export type { Activated, ActivationCreated, IdleAccount, LifeLedger, MailKind, MailState, NewActivation, NewMail, OutboxMail } from './types.ts';
export type { DisputeState, LandRecharge, Landing, Recharge, RechargeLedger, RechargeStatus } from './types.ts';
export type {
  Account, AccountStatus, ApiKey, AuditFinding, AuditReport, ByokKey, DaemonState, Granted, HoldRequest, HoldResult, IdempotencyClaim, IdempotencyStanding, KeyOwner, Ledger, MinuteTotals, Mode, Movement, NoteRead,
  Forward, OpenLedger, Page, ProviderKey, Receipt, RequestEnd, RequestFilter, RequestRow, Sent, Settlement, Standing, Statement, StorageState, Told, Transfer, TransferKind, UsageGrouping, UsageTotals,
} from './types.ts';
