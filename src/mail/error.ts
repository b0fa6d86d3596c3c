const PROBLEM_MAX = 300;

/** A mail that did not leave. The message is for the operator: short, printable, without the password. */
export class MailError extends Error {
  /** The SMTP package's word, such as `ECONNECTION` or `EENVELOPE`. */
  readonly code: string;
  /** There is no such mailbox, so that no further attempt can help. */
  readonly isPermanent: boolean;

  constructor(code: string, detail: string, isPermanent = false) {
    super(`${code}: ${detail.replace(/\p{Cc}+/gu, ' ').slice(0, PROBLEM_MAX)}`);
    this.name = 'MailError';
    this.code = code;
    this.isPermanent = isPermanent;
  }
}
