import type { Ledger, OutboxMail } from '../ledger/index.ts';
import { MailError, retryAfterMs } from '../mail/index.ts';
import type { Mailer } from '../mail/index.ts';
import { LINK_HOURS } from './sign-up.ts';

export interface PostParts {
  readonly ledger: Pick<Ledger, 'hasDueMail' | 'takeDueMail' | 'markSent' | 'markFailed'>;
  readonly mailer: Pick<Mailer, 'send'>;
  readonly nowMs: () => number;
}

/** A mail that did not leave. `isLast`: it is given up. */
export interface MailFailure {
  readonly mail: Pick<OutboxMail, 'id' | 'kind' | 'attempts'>;
  readonly problem: string;
  readonly isLast: boolean;
}

/** No sending lasts as long: a mail whose sender died is taken again after it. */
const LEASE_MS = 5 * 60_000;
const LINK_MS = LINK_HOURS * 3_600_000;

/**
 * Sends the mails that are due, one after the other, and stops at the first that fails: a server that is down is asked once.
 * @returns how many left, and the failure that ended the run
 */
export async function sendDueMail(parts: PostParts): Promise<{ readonly sent: number; readonly failure: MailFailure | undefined }> {
  const { ledger, mailer, nowMs } = parts;
  let sent = 0;
  while (await ledger.hasDueMail(nowMs())) {
    const mail = await ledger.takeDueMail({ nowMs: nowMs(), leaseMs: LEASE_MS });
    if (mail === undefined) break;
    if (mail.kind === 'activation' && mail.createdMs + LINK_MS <= nowMs()) {
      await ledger.markFailed({ id: mail.id, problem: 'its link expired before it could be sent', retryAtMs: undefined });
      continue;
    }
    let as: 'sent' | 'logged';
    try {
      as = await mailer.send(mail);
    } catch (error) {
      // Whatever went wrong, the mail is kept; a bug shows in its row and in the log, as a dead server does.
      return { sent, failure: await putOff(parts, mail, error) };
    }
    await ledger.markSent({ id: mail.id, as, nowMs: nowMs() });
    sent += 1;
  }
  return { sent, failure: undefined };
}

async function putOff({ ledger, nowMs }: PostParts, mail: OutboxMail, error: unknown): Promise<MailFailure> {
  const problem = error instanceof MailError ? error.message : `bug: ${error instanceof Error ? error.message : String(error)}`;
  const isPermanent = error instanceof MailError && error.isPermanent;
  const waitMs = isPermanent ? undefined : retryAfterMs(mail.attempts);
  await ledger.markFailed({ id: mail.id, problem, retryAtMs: waitMs === undefined ? undefined : nowMs() + waitMs });
  return { mail: { id: mail.id, kind: mail.kind, attempts: mail.attempts }, problem, isLast: waitMs === undefined };
}
