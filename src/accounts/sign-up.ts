import type { Account, ActivationCreated, NewActivation } from '../ledger/index.ts';
import { activationMail } from '../mail/index.ts';
import { hashKey, mintId, mintKey } from '../vault/index.ts';
import type { AccountParts } from './account.ts';
import { emailTaken, readEmail } from './account.ts';

/** What signing up needs beside the books: the address under which the link's page is reached. */
export interface SignUpParts extends AccountParts {
  readonly publicUrl: string;
}

/**
 * What became of a link. `activated`: the account is active, and `key` is its first API key, shown this once, where it had none.
 * `used`: the link, or another one of the account, was used before.
 */
export type ActivationResult =
  | { readonly kind: 'activated'; readonly account: Account; readonly key: string | undefined }
  | { readonly kind: 'unknown' | 'used' | 'expired' | 'deactivated' };

const HOUR_MS = 3_600_000;
/** How long a link holds. Source: issue on credits, part 4. */
export const LINK_HOURS = 24;
/** Activation mails to one pending account in 24 hours, whoever asks for them. */
const MAILS_A_DAY = 3;
const TOKEN_BYTES = 32;
const TOKEN = /^[0-9a-f]{64}$/;

/**
 * Signs an address up: a new one gets a pending account and a mail with its link, a pending one a further link (at most three a
 * day), and an active or deactivated one nothing. The caller learns nothing of which it was, and must tell nothing.
 * @throws Fault invalid_request (`param` is `email`) on what is no address
 */
export async function register(parts: SignUpParts, wanted: { readonly email: string }): Promise<void> {
  await parts.ledger.createActivation(newActivation(parts, wanted.email).activation);
}

/**
 * Opens a pending account by an operator's hand and queues its activation mail.
 * @returns the account and the link, a secret for its owner
 * @throws Fault invalid_request on what is no address, or one that has an account
 */
export async function createPendingAccount(parts: SignUpParts, wanted: { readonly email: string }): Promise<{ readonly account: Account; readonly link: string }> {
  const email = readEmail(wanted.email);
  if ((await parts.ledger.findAccount(email)) !== undefined) throw emailTaken(email);
  const { activation, link } = newActivation(parts, email);
  const created: ActivationCreated = await parts.ledger.createActivation(activation);
  if (created.kind !== 'opened') throw emailTaken(email);
  return { account: created.account, link };
}

/**
 * Spends a link's token. The first key is made here, for without one its owner could not ask for another; where the account has
 * a live key already, none is made.
 */
export async function activateByToken(parts: AccountParts, token: string): Promise<ActivationResult> {
  if (!isLinkToken(token)) return { kind: 'unknown' };
  const nowMs = parts.nowMs();
  const { key, hash, last4 } = mintKey();
  const activated = await parts.ledger.activate({ tokenHash: hashKey(token), key: { id: mintId('key', nowMs), name: 'first', hash, last4 }, nowMs });
  if (!activated.ok) return { kind: activated.reason };
  return { kind: 'activated', account: activated.account, key: activated.keyed ? key : undefined };
}

/** Whether a text has the form of a link's token: 64 lower-case hex characters. */
export function isLinkToken(token: string): boolean {
  return TOKEN.test(token);
}

function newActivation({ nowMs: clock, publicUrl }: SignUpParts, written: string): { readonly activation: NewActivation; readonly link: string } {
  // Where the account is kept under lower case, so is the mailbox that is written to.
  const email = readEmail(written).toLowerCase();
  const nowMs = clock();
  const token = Buffer.from(globalThis.crypto.getRandomValues(new Uint8Array(TOKEN_BYTES))).toString('hex');
  const tokenHash = hashKey(token);
  const link = `${publicUrl}/activate?token=${token}`;
  const letter = activationMail({ email, link, validHours: LINK_HOURS });
  return {
    link,
    activation: {
      account: { id: mintId('acct', nowMs), email },
      tokenHash,
      expiresMs: nowMs + LINK_HOURS * HOUR_MS,
      mail: { id: mintId('mail', nowMs), kind: 'activation', reference: Buffer.from(tokenHash).toString('hex'), recipient: email, ...letter },
      limit: { mails: MAILS_A_DAY, sinceMs: nowMs - 24 * HOUR_MS },
      nowMs,
    },
  };
}
