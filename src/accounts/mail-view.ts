import type { OutboxMail } from '../ledger/index.ts';

/** A mail of the outbox as lists show it. */
export interface MailView {
  readonly id: string;
  readonly object: 'mail';
  readonly created: number;
  readonly kind: string;
  readonly account_id: string;
  readonly recipient: string;
  readonly subject: string;
  /** `queued`, `sent`, `logged` (there was no SMTP server), `failed` (given up). */
  readonly state: string;
  readonly attempts: number;
  /** Null: it has not left. */
  readonly sent: number | null;
  /** Of the last attempt; null where nothing went wrong. */
  readonly problem: string | null;
  /** Null where the mail bore a link, and was sent or the link was used. */
  readonly text: string | null;
}

export function mailView(mail: OutboxMail): MailView {
  const { id, kind, accountId, recipient, subject, state, attempts, problem, text, createdMs, sentMs } = mail;
  return {
    id, object: 'mail', created: Math.floor(createdMs / 1000), kind, account_id: accountId, recipient, subject, state, attempts,
    sent: sentMs === undefined ? null : Math.floor(sentMs / 1000), problem: problem === '' ? null : problem, text: text === '' ? null : text,
  };
}
