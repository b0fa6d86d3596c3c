import { domainToASCII } from 'node:url';
import { createTransport } from 'nodemailer';
import { MailError } from './error.ts';
import type { Mail } from './types.ts';

/** One SMTP server. */
export interface Transport {
  send(mail: Mail): Promise<void>;
  close(): void;
}

const TIMEOUTS = { dnsTimeout: 10_000, connectionTimeout: 10_000, greetingTimeout: 10_000, socketTimeout: 20_000 } as const;

/**
 * A connection for each mail, to the server of an `smtp:` or `smtps:` address. A password goes over the network only inside TLS,
 * unless the address says `?requireTLS=false` or the server is on this machine.
 */
export function openTransport({ from, smtp }: { readonly from: string; readonly smtp: string }): Transport {
  const { username, hostname, searchParams } = new URL(smtp);
  const isLocal = hostname === 'localhost' || hostname === '[::1]' || hostname.startsWith('127.');
  const requireTLS = searchParams.has('requireTLS') ? searchParams.get('requireTLS') !== 'false' : username !== '' && !isLocal;
  const sender = addressOf(from);
  const written = sender.slice(sender.lastIndexOf('@') + 1);
  // A header is ASCII; the package sees to that in addresses, and not in this one.
  const domain = domainToASCII(written) || written;
  // A mail is text that we wrote: nothing in it may make the package read a file or fetch an address.
  const transport = createTransport({ url: smtp, ...TIMEOUTS, requireTLS, disableFileAccess: true, disableUrlAccess: true });
  return {
    async send({ id, recipient, subject, text, html }) {
      try {
        await transport.sendMail({
          from,
          to: { name: '', address: recipient },
          envelope: { from: sender, to: [recipient] },
          subject,
          text,
          html,
          messageId: `<${id}@${domain}>`,
          headers: { 'Auto-Submitted': 'auto-generated', 'X-Auto-Response-Suppress': 'All' },
        });
      } catch (error) {
        throw new MailError(codeOf(error), error instanceof Error ? error.message : String(error), hasNoMailbox(error));
      }
    },
    close: () => transport.close(),
  };
}

/** `findtoken <a@example.com>` is `a@example.com`. */
function addressOf(from: string): string {
  return /<([^<>]+)>/.exec(from)?.[1] ?? from.trim();
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : 'EMAIL';
}

/**
 * The server says that the address leads nowhere. Other refusals of a recipient (relaying denied, greylisting) may be the
 * operator's to mend, and are tried again. Source: RFC 3463, 3.2.
 */
function hasNoMailbox(error: unknown): boolean {
  const response = error instanceof Error && 'response' in error ? error.response : undefined;
  return typeof response === 'string' && /^5\d\d[ -]5\.1\.(1|2|3|6|10)\b/.test(response);
}
