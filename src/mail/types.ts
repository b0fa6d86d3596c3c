/** What a mail says, before it is addressed. */
export interface Letter {
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}

/** A mail on its way out. */
export interface Mail extends Letter {
  /** Becomes the Message-ID, so that a receiver knows a second copy for what it is. */
  readonly id: string;
  readonly recipient: string;
}

/** Sends mails, or logs their texts where there is no SMTP server. */
export interface Mailer {
  /** Loads what the first mail would load, where there is a server; for a daemon, whose files may be gone by then. */
  ready(): Promise<void>;
  /**
   * Resolves when the server has taken the mail, or its text is in the log.
   * @throws MailError where the server could not be reached or refused it; RangeError on a recipient that is
   * not one plain address, or a line break in the subject: a bug of the caller.
   */
  send(mail: Mail): Promise<'sent' | 'logged'>;
  close(): Promise<void>;
}

export interface OpenMailer {
  /** `billing@example.com` or `findtoken <billing@example.com>`. */
  readonly from: string;
  /** `smtp://…` or `smtps://…`; empty: mails are logged. */
  readonly smtp: string;
  readonly log: (mail: Mail) => void;
}
