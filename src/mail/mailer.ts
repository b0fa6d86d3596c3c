import { MailError } from './error.ts';
import type { Transport } from './smtp.ts';
import type { Mailer, OpenMailer } from './types.ts';

/** The SMTP package reads a text as a list of addresses: what could quote, separate or bracket one is refused. */
const ONE_ADDRESS = /^[^\s\p{Cc}@<>()[\]\\,;:"]+@[^\s\p{Cc}@<>()[\]\\,;:"]+$/u;
/** One mail takes no longer; the lease under which it is taken is several times that. */
const SEND_LIMIT_MS = 60_000;

/**
 * Opens the way out for mails. The SMTP package is loaded by `ready` or with the first mail, and nothing is connected before that.
 * Without a server every mail is handed to `log`, text and all.
 */
export function openMailer({ from, smtp, log }: OpenMailer): Mailer {
  let opened: Promise<Transport> | undefined;
  const transport = () => (opened ??= import('./smtp.ts').then(({ openTransport }) => openTransport({ from, smtp })));
  return {
    ready: async () => {
      if (smtp !== '') await transport();
    },
    async send(mail) {
      if (!ONE_ADDRESS.test(mail.recipient)) throw new RangeError('the recipient of a mail is not one plain address');
      // A line break would let a header's value become further headers.
      if (/\p{Cc}/u.test(mail.subject)) throw new RangeError('a control character in the subject of a mail');
      if (smtp === '') {
        log(mail);
        return 'logged';
      }
      await withinLimit((await transport()).send(mail));
      return 'sent';
    },
    close: async () => (await opened)?.close(),
  };
}

async function withinLimit(sending: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new MailError('TIMEOUT', `no end after ${SEND_LIMIT_MS / 1_000} s`)), SEND_LIMIT_MS);
  });
  try {
    await Promise.race([sending, limit]);
  } finally {
    clearTimeout(timer);
  }
}
