import type { UsdE8 } from '../money/index.ts';
import type { Account, Page } from './records.ts';

export type MailKind = 'activation' | 'expiry_30' | 'expiry_7' | 'deactivation';
/** `logged`: there was no SMTP server, and the text went to the log. `failed`: given up. */
export type MailState = 'queued' | 'sent' | 'logged' | 'failed';

/** A mail to be queued. Kind, account and reference are unique together: the same cause never queues two. */
export interface NewMail {
  /** `mail_…`, minted by the caller. */
  readonly id: string;
  readonly kind: MailKind;
  readonly reference: string;
  readonly recipient: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

export interface OutboxMail extends NewMail {
  readonly accountId: string;
  readonly state: MailState;
  readonly attempts: number;
  /** What went wrong at the last attempt; empty where nothing did. */
  readonly problem: string;
  readonly createdMs: number;
  readonly sentMs: number | undefined;
}

export interface NewActivation {
  /** Opened as pending, with this id, where the address has no account yet. */
  readonly account: { readonly id: string; readonly email: string };
  /** SHA-256 of the link's token, 32 bytes. */
  readonly tokenHash: Uint8Array;
  readonly expiresMs: number;
  readonly mail: NewMail;
  /** At most this many activation mails to one account since that moment. */
  readonly limit: { readonly mails: number; readonly sinceMs: number };
  readonly nowMs: number;
}

/**
 * What became of a wish to sign up. `opened`: a new account and its mail; `renewed`: a further link for a pending one;
 * `limited`: a pending one that has had its mails; `known`: active or deactivated, and nothing happens.
 */
export interface ActivationCreated {
  readonly kind: 'opened' | 'renewed' | 'limited' | 'known';
  readonly account: Account;
}

export interface UseActivation {
  readonly tokenHash: Uint8Array;
  /** Added where the account has no live key, in the same transaction; its owner has no other way to a first one. */
  readonly key: { readonly id: string; readonly name: string; readonly hash: Uint8Array; readonly last4: string };
  readonly nowMs: number;
}

export type Activated =
  | { readonly ok: true; readonly account: Account; /** Whether `key` was added. */ readonly keyed: boolean }
  | { readonly ok: false; readonly reason: 'unknown' | 'used' | 'expired' | 'deactivated' };

/** An account that has been idle, and what it was told of it. */
export interface IdleAccount {
  readonly account: Account;
  /** When the newest mail a month before was queued for this time of idleness; undefined: not yet. */
  readonly foretoldMs: number | undefined;
  /** The same of the mail a week before. */
  readonly warnedMs: number | undefined;
}

/** Holds for one time of idleness: nothing happens where the account was active since. */
export interface IdleSince {
  readonly accountId: string;
  readonly activityMs: number;
  readonly nowMs: number;
}

/** The part of the ledger's door that is about accounts' lives and their mails. */
export interface LifeLedger {
  /** Opens a pending account or finds the one of that address, and queues its activation mail, in one transaction. */
  createActivation(wanted: NewActivation): Promise<ActivationCreated>;
  /** Spends a link: at most once, and only before its end. All links of the account are spent with it. */
  activate(use: UseActivation): Promise<Activated>;

  /** True where a mail may be sent now; a read, so that an idle outbox costs no write. */
  hasDueMail(nowMs: number): Promise<boolean>;
  /**
   * Takes the mail that is due longest, counts the attempt, and puts the next one off by the lease: whoever dies with it in
   * hand loses nothing, and nobody else takes it meanwhile. The lease must be longer than a sending can last.
   */
  takeDueMail(take: { readonly nowMs: number; readonly leaseMs: number }): Promise<OutboxMail | undefined>;
  /** Notes that a taken mail left, or that its text was logged. Its link, if it bore one, is erased once sent. */
  markSent(sent: { readonly id: string; readonly as: 'sent' | 'logged'; readonly nowMs: number }): Promise<void>;
  /** Notes a failed attempt; without `retryAtMs` the mail is given up. */
  markFailed(failed: { readonly id: string; readonly problem: string; readonly retryAtMs: number | undefined }): Promise<void>;
  /** Newest first. */
  listMail(page: { readonly limit: number; readonly after?: string }): Promise<Page<OutboxMail>>;

  /** Accounts without activity since a moment that are active or have credits, idle longest first. */
  listIdle(filter: { readonly beforeMs: number; readonly limit: number; readonly after?: string }): Promise<Page<IdleAccount>>;
  /** Queues a notice, unless the account was active since, is frozen or has no credits. False: nothing was queued, or it was before. */
  queueNotice(notice: IdleSince & { readonly mail: NewMail }): Promise<boolean>;
  /**
   * Expires all credits of an idle account, once for a time of idleness. Undefined where it was active since, is frozen,
   * has no credits, or has a request open.
   */
  expireCredits(idle: IdleSince): Promise<{ readonly amount: UsdE8 } | undefined>;
  /** Deactivates an idle account without credits and queues the mail that says so. False where it is not so (any more). */
  deactivateIdle(idle: IdleSince & { readonly mail: NewMail }): Promise<boolean>;
}

