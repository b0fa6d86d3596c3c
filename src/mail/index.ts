/** Writing mails, and sending them or logging them. */
export type { Letter, Mail, Mailer, OpenMailer } from './types.ts';
export { MailError } from './error.ts';
export { openMailer } from './mailer.ts';
export { retryAfterMs } from './retry.ts';
export { escapeHtml } from './html.ts';
export { activationMail, deactivationMail, expiryMail } from './letters.ts';
