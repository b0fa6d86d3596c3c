/** The books: accounts, keys, holds, transfers and what was used, kept exactly and durably. */
export { openLedger } from './open.ts';
export { backupLedger, restoreLedger } from './backup.ts';
export { inspectLedger, sqliteVersion, type Inspection } from './inspect.ts';
export { LedgerError, StorageFault, type LedgerErrorCode } from './errors.ts';
export type { Activated, ActivationCreated, IdleAccount, LifeLedger, MailKind, MailState, NewActivation, NewMail, OutboxMail } from './types.ts';
export type { DisputeState, LandRecharge, Landing, Recharge, RechargeLedger, RechargeStatus } from './types.ts';
export type {
  Account, AccountStatus, ApiKey, AuditFinding, AuditReport, ByokKey, DaemonState, Granted, HoldRequest, HoldResult, IdempotencyClaim, IdempotencyStanding, KeyOwner, Ledger, MinuteTotals, Mode,
  OpenLedger, Page, ProviderKey, Receipt, RequestEnd, RequestFilter, RequestRow, Settlement, StorageState, Transfer, TransferKind, UsageGrouping, UsageTotals,
} from './types.ts';
