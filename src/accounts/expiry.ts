import type { IdleAccount, Ledger, MailKind, NewMail } from '../ledger/index.ts';
import { deactivationMail, expiryMail } from '../mail/index.ts';
import { mintId } from '../vault/index.ts';

export interface DailyParts {
  readonly ledger: Pick<Ledger, 'listIdle' | 'queueNotice' | 'expireCredits' | 'deactivateIdle'>;
  readonly publicUrl: string;
  /** `billing.credit_expiry_days` */
  readonly creditExpiryDays: number;
}

/** How many accounts a run did something to. */
export interface DailyWork {
  readonly noticed: number;
  readonly expired: number;
  readonly deactivated: number;
}

/** What is due for one idle account. */
export type IdleStep =
  | { readonly do: 'wait' | 'expire' | 'deactivate' }
  | { readonly do: 'notice'; readonly kind: Extract<MailKind, 'expiry_30' | 'expiry_7'>; readonly expiresMs: number };

const DAY_MS = 86_400_000;
const FIRST_NOTICE_DAYS = 30;
const LAST_NOTICE_DAYS = 7;
/** A last notice that is later than this, because the daemon was off, puts the end off, so that a week is left. */
const LATE_DAYS = 6;
const IDLE_MONTHS = 12;
/** Twelve calendar months have at least this many days. */
const IDLE_DAYS_LEAST = 365;
const PAGE_ACCOUNTS = 100;

/**
 * Does what is due for idle accounts: notices 30 and 7 days before their credits expire, the expiry, the end of accounts without
 * credits after twelve months. Run it as often as you like: each step counts once for one time of idleness, and what was missed
 * is caught up with. No credits expire less than six days after the last notice was queued, however long the daemon was off or
 * however far its clock jumped.
 */
export async function runDailyJobs(parts: DailyParts, nowMs: number): Promise<DailyWork> {
  const work = { noticed: 0, expired: 0, deactivated: 0 };
  const beforeMs = nowMs - Math.min(firstStepDays(parts.creditExpiryDays), IDLE_DAYS_LEAST) * DAY_MS;
  let after: string | undefined;
  do {
    const page = await parts.ledger.listIdle({ beforeMs, limit: PAGE_ACCOUNTS, ...(after === undefined ? {} : { after }) });
    for (const idle of page.rows) {
      const done = await liveOn(parts, idle, nowMs);
      for (const step of done) work[step] += 1;
    }
    after = page.next;
  } while (after !== undefined);
  return work;
}

/** An account whose credits have just expired may be due to be deactivated as well. */
async function liveOn(parts: DailyParts, idle: IdleAccount, nowMs: number): Promise<readonly (keyof DailyWork)[]> {
  const { account } = idle;
  const step = stepFor(idle, parts.creditExpiryDays, nowMs);
  const since = { accountId: account.id, activityMs: account.activityMs, nowMs };
  const about = { email: account.email, publicUrl: parts.publicUrl, idleSinceMs: account.activityMs };
  const mail = (kind: MailKind, reference: string, letter: Pick<NewMail, 'subject' | 'text' | 'html'>): NewMail => (
    { id: mintId('mail', nowMs), kind, reference, recipient: account.email, ...letter });

  if (step.do === 'notice') {
    const days = Math.max(1, Math.round((step.expiresMs - nowMs) / DAY_MS));
    const letter = expiryMail({ ...about, credits: account.balance, expiresMs: step.expiresMs, days, expiryDays: parts.creditExpiryDays });
    return (await parts.ledger.queueNotice({ ...since, mail: mail(step.kind, noticeReference(account.activityMs, parts.creditExpiryDays), letter) })) ? ['noticed'] : [];
  }
  if (step.do === 'expire') {
    if ((await parts.ledger.expireCredits(since)) === undefined) return [];
    return ['expired', ...(await liveOn(parts, { ...idle, account: { ...account, balance: 0n } }, nowMs))];
  }
  if (step.do === 'wait') return [];
  return (await parts.ledger.deactivateIdle({ ...since, mail: mail('deactivation', String(account.activityMs), deactivationMail(about)) })) ? ['deactivated'] : [];
}

/**
 * What is due for an account at a moment. Days are spans of 24 hours since the last activity; months are the calendar's.
 * With 365 days: a notice after 335 and after 358 days, the expiry after 365; a last notice that came more than a day late puts
 * the expiry off to seven days after it. Credits that live seven days or less expire without a notice. A notice from before its
 * time told of an earlier end, for the days were raised since: it does not count.
 */
export function stepFor({ account, foretoldMs, warnedMs }: IdleAccount, expiryDays: number, nowMs: number): IdleStep {
  if (account.frozen) return { do: 'wait' };
  if (account.balance > 0n) {
    const endMs = account.activityMs + expiryDays * DAY_MS;
    const firstMs = endMs - FIRST_NOTICE_DAYS * DAY_MS;
    const lastMs = endMs - LAST_NOTICE_DAYS * DAY_MS;
    const lateMs = endMs - LATE_DAYS * DAY_MS;
    const afterNotice = (noticeMs: number): number => (noticeMs <= lateMs ? endMs : noticeMs + LAST_NOTICE_DAYS * DAY_MS);
    if (expiryDays <= LAST_NOTICE_DAYS || (warnedMs !== undefined && warnedMs >= lastMs)) {
      const dueMs = warnedMs === undefined ? endMs : afterNotice(warnedMs);
      return { do: nowMs >= dueMs ? 'expire' : 'wait' };
    }
    if (nowMs >= lastMs) return { do: 'notice', kind: 'expiry_7', expiresMs: afterNotice(nowMs) };
    const isForetold = foretoldMs !== undefined && foretoldMs >= firstMs;
    const hasFirst = expiryDays > FIRST_NOTICE_DAYS && nowMs >= firstMs && !isForetold;
    return hasFirst ? { do: 'notice', kind: 'expiry_30', expiresMs: endMs } : { do: 'wait' };
  }
  const isDone = account.balance === 0n && account.status === 'active' && nowMs >= monthsAfter(account.activityMs, IDLE_MONTHS);
  return { do: isDone ? 'deactivate' : 'wait' };
}

/** Names the end that a notice is of: the books keep one of each kind for it. `listIdle` knows them by what stands before the sign. */
function noticeReference(activityMs: number, expiryDays: number): string {
  return `${activityMs}+${expiryDays}d`;
}

/**
 * The same time of day some calendar months later, in UTC; the last day of the month where it is shorter.
 * `monthsAfter(Date.UTC(2028, 1, 29), 12)` is 2029-02-28.
 */
export function monthsAfter(ms: number, months: number): number {
  const date = new Date(ms);
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth() + months];
  const lastDay = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  const day = Math.min(date.getUTCDate(), lastDay);
  return Date.UTC(year, month, day) + (ms - Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()));
}

/** Days of idleness before which nothing is ever due. */
function firstStepDays(expiryDays: number): number {
  const lead = expiryDays > FIRST_NOTICE_DAYS ? FIRST_NOTICE_DAYS : expiryDays > LAST_NOTICE_DAYS ? LAST_NOTICE_DAYS : 0;
  return expiryDays - lead;
}
