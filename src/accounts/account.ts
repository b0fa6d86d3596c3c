import { Fault } from '../faults.ts';
import type { Account, Ledger } from '../ledger/index.ts';
import { mintId } from '../vault/index.ts';
import { UNPRINTABLES } from './names.ts';

/** What every function of this room needs: the books, and what time it is. */
export interface AccountParts {
  readonly ledger: Ledger;
  readonly nowMs: () => number;
}

/** Longest address that SMTP carries. Source: RFC 5321, 4.5.3.1.3, less the angle brackets. */
const EMAIL_MAX = 254;
/**
 * One `@` with something on both sides; the activation mail is the real check. `root@localhost` passes; characters that quote,
 * list or bracket addresses in a mail's header do not. As it may be written, for the flag `u`: the blanks around it do not count.
 */
export const EMAIL_PATTERN = String.raw`^\s*(?=\S{3,${EMAIL_MAX}}\s*$)[^\s@<>()[\]\\,;:"${UNPRINTABLES}]+@[^\s@<>()\\,;"${UNPRINTABLES}]+\s*$`;
const EMAIL = new RegExp(EMAIL_PATTERN, 'u');
const LIMIT_MAX = 1_000_000;
/** Whose play money pays for what the sandbox answers; it is nobody's own account. */
export const SANDBOX_EMAIL = 'sandbox@localhost';

/**
 * Opens an account without credits. `pending` waits for its activation link and serves no request until then.
 * @throws Fault invalid_request on a malformed address (`param` is `email`) or one that has an account already.
 */
export async function createAccount(parts: AccountParts, wanted: { readonly email: string; readonly pending: boolean }): Promise<Account> {
  const email = readEmail(wanted.email);
  const nowMs = parts.nowMs();
  const account = await parts.ledger.createAccount({ id: mintId('acct', nowMs), email, status: wanted.pending ? 'pending' : 'active', nowMs });
  if (account === 'email_taken') throw emailTaken(email);
  return account;
}

/**
 * Reads an e-mail address: trimmed, at most 254 characters.
 * @throws Fault invalid_request (`param` is `email`). `readEmail(' ann@example.com ')` is "ann@example.com".
 */
export function readEmail(written: string): string {
  if (EMAIL.test(written)) return written.trim();
  throw new Fault('invalid_request', { fill: { detail: 'That is not an e-mail address; write it as name@example.com.' }, param: 'email' });
}

/** The refusal of a second account for one address. */
export function emailTaken(email: string): Fault {
  return new Fault('invalid_request', { fill: { detail: `${email} has an account already; use it with --account ${email}, or choose another address.` } });
}

/**
 * The account that is meant: by e-mail address or id, or the only one where none is named. Beside one of a person's own the
 * sandbox's account does not count: `init` and a first `serve` make one of each.
 * @throws Fault not_found where there is no such account, or none at all; invalid_request (`param` is `account`) where
 *   several exist and none was named.
 */
export async function resolveAccount(parts: Pick<AccountParts, 'ledger'>, emailOrId: string | undefined): Promise<Account> {
  if (emailOrId !== undefined) {
    const account = await parts.ledger.findAccount(emailOrId);
    if (account !== undefined) return account;
    throw new Fault('not_found', { fill: { detail: `There is no account ${quoted(emailOrId)}; \`findtoken accounts list\` shows all.` } });
  }
  const all = await parts.ledger.listAccounts();
  const own = all.filter(({ email }) => email !== SANDBOX_EMAIL);
  const [only, another] = own.length === 0 ? all : own;
  if (only === undefined) throw new Fault('not_found', { fill: { detail: 'There is no account yet; make one with `findtoken accounts create EMAIL`.' } });
  if (another !== undefined) {
    throw new Fault('invalid_request', {
      fill: { detail: 'There are several accounts; say which with `--account EMAIL` (`findtoken accounts list` shows all).' },
      param: 'account',
    });
  }
  return only;
}

/** Lets the account call again, whether it was pending or deactivated. @throws Fault not_found on an unknown id. */
export async function activateAccount(parts: AccountParts, accountId: string): Promise<Account> {
  return changed(parts, accountId, await parts.ledger.setAccountStatus(accountId, 'active', parts.nowMs()));
}

/** Refuses the account's next request; its credits and keys stay. @throws Fault not_found on an unknown id. */
export async function deactivateAccount(parts: AccountParts, accountId: string): Promise<Account> {
  return changed(parts, accountId, await parts.ledger.setAccountStatus(accountId, 'deactivated', parts.nowMs()));
}

/**
 * Overrides `limits.requests_per_minute` for one account; undefined takes the override away.
 * @throws Fault invalid_request on anything but a whole number from 1 to 1,000,000, not_found on an unknown id.
 */
export async function setAccountLimit(parts: AccountParts, accountId: string, requestsPerMinute: number | undefined): Promise<Account> {
  const limit = requestsPerMinute ?? 1;
  if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX) {
    throw new Fault('invalid_request', {
      fill: { detail: `Requests per minute are a whole number from 1 to ${LIMIT_MAX}.` },
      param: 'requests_per_minute',
    });
  }
  return changed(parts, accountId, await parts.ledger.setAccountLimit(accountId, requestsPerMinute));
}

async function changed(parts: AccountParts, accountId: string, found: boolean): Promise<Account> {
  const account = found ? await parts.ledger.findAccount(accountId) : undefined;
  if (account !== undefined) return account;
  throw new Fault('not_found', { fill: { detail: `There is no account ${quoted(accountId)}; \`findtoken accounts list\` shows all.` } });
}

function quoted(name: string): string {
  return JSON.stringify(name);
}
