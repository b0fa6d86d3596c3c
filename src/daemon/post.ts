import { runDailyJobs, sendDueMail } from '../accounts/index.ts';
import type { Ledger } from '../ledger/index.ts';
import { openMailer } from '../mail/index.ts';
import type { Settings } from '../settings/index.ts';
import type { DaemonLog } from './log.ts';

export interface PostJobParts {
  readonly settings: Settings;
  readonly ledger: Ledger;
  readonly log: DaemonLog;
  readonly nowMs: () => number;
}

/** What the daemon does for accounts' lives: it sends the mails that are due, and looks after idle accounts. */
export interface PostJobs {
  /** Loads what the first mail needs. */
  ready(): Promise<void>;
  sendMail(): Promise<void>;
  lookAfterAccounts(): Promise<void>;
  /** Waits a moment for a mail that is on its way; what is not marked by then goes out again after the next start. */
  close(): Promise<void>;
}

const LAST_MAIL_MS = 5_000;

export function openPostJobs({ settings, ledger, log, nowMs }: PostJobParts): PostJobs {
  const { from, smtp } = settings.email;
  const mailer = openMailer({ from, smtp, log: ({ id, recipient, subject, text }) => log.info('mail', { mail: id, to: recipient, subject, text }) });
  let sending: Promise<void> = Promise.resolve();
  const send = async () => {
    const { sent, failure } = await sendDueMail({ ledger, mailer, nowMs });
    if (sent > 0 && smtp !== '') log.info('mail_sent', { mails: sent });
    if (failure === undefined) return;
    const { mail, problem, isLast } = failure;
    log.warn(isLast ? 'mail_given_up' : 'mail_failed', { mail: mail.id, kind: mail.kind, attempts: mail.attempts, problem, mend: 'check email.smtp; findtoken mail list shows what waits' });
  };
  return {
    ready: () => mailer.ready(),
    sendMail: () => (sending = send()),
    async lookAfterAccounts() {
      const work = await runDailyJobs({ ledger, publicUrl: settings.server.publicUrl, creditExpiryDays: settings.billing.creditExpiryDays }, nowMs());
      if (work.noticed + work.expired + work.deactivated > 0) log.info('idle_accounts', { ...work });
    },
    async close() {
      let timer: NodeJS.Timeout | undefined;
      const limit = new Promise<void>((resolve) => {
        timer = setTimeout(resolve, LAST_MAIL_MS);
      });
      // How the sending ended is its job's to log.
      await Promise.race([sending.catch(() => undefined), limit]);
      clearTimeout(timer);
      await mailer.close();
    },
  };
}
