import { Fault } from '../faults.ts';
import { formatUsd, formatUsdExact, GRANT_MAX } from '../money/index.ts';
import type { UsdE8 } from '../money/index.ts';
import { mintId } from '../vault/index.ts';
import type { AccountParts } from './account.ts';
import { hasUnprintable } from './names.ts';
import { balanceView } from './views.ts';
import type { BalanceView } from './views.ts';

const NOTE_MAX = 500;

/**
 * An operator's manual credit, without a fee; a negative amount takes back, at most what is available.
 * @returns the balance afterwards
 * @throws Fault invalid_request on zero, more than $1,000,000,000 or an unusable note, not_found on an unknown account, insufficient_credits where
 *   more is taken back than is available.
 */
export async function grantCredits(
  parts: AccountParts,
  grant: { readonly accountId: string; readonly amount: UsdE8; readonly note: string },
): Promise<{ readonly balance: UsdE8 }> {
  const { accountId, amount } = grant;
  const note = grant.note.trim();
  if (amount === 0n) throw new Fault('invalid_request', { fill: { detail: 'A grant of nothing changes nothing; give an amount.' }, param: 'amount' });
  if (amount > GRANT_MAX || amount < -GRANT_MAX) throw new Fault('invalid_request', { fill: { detail: `A grant is at most $${formatUsd(GRANT_MAX)}.` }, param: 'amount' });
  if (note.length < 1 || note.length > NOTE_MAX || hasUnprintable(note)) {
    throw new Fault('invalid_request', { fill: { detail: `A note has 1 to ${NOTE_MAX} characters and no control characters.` }, param: 'note' });
  }
  const nowMs = parts.nowMs();
  const granted = await parts.ledger.grant({ accountId, amount, reference: mintId('grant', nowMs), note, nowMs });
  if (granted === 'no_account') throw new Fault('not_found', { fill: { detail: `There is no account ${JSON.stringify(accountId)}.` } });
  if (granted === 'insufficient_credits') {
    const account = await parts.ledger.findAccount(accountId);
    const available = account === undefined ? 0n : account.balance - account.held;
    throw new Fault('invalid_request', { fill: { detail: `Only $${formatUsdExact(available)} are available to be taken back; take back at most that.` } });
  }
  return { balance: granted.balance };
}

/**
 * The balance and this month's BYOK counter, as `GET /v1/user/balance` answers it.
 * @throws Fault not_found on an unknown account.
 */
export async function balanceOf(parts: AccountParts, accountId: string, rules: { readonly byokFreeRequests: number }): Promise<BalanceView> {
  const month = utcMonth(parts.nowMs());
  const [account, requests] = await Promise.all([parts.ledger.findAccount(accountId), parts.ledger.byokCount(accountId, month)]);
  if (account === undefined) throw new Fault('not_found', { fill: { detail: `There is no account ${JSON.stringify(accountId)}.` } });
  return balanceView(account, { month, requests, freeRequests: rules.byokFreeRequests });
}

/**
 * The calendar month, in UTC, whose BYOK requests are counted together. Source: CONTRACT section 1.
 * `utcMonth(Date.UTC(2026, 10, 30, 23, 59))` is "2026-11".
 */
export function utcMonth(nowMs: number): string {
  return new Date(nowMs).toISOString().slice(0, 7);
}
