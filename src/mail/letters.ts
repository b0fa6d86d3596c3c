import { formatUsd } from '../money/index.ts';
import type { UsdE8 } from '../money/index.ts';
import { escapeHtml } from './html.ts';
import type { Letter } from './types.ts';

/** A paragraph, or an address to open on a line of its own. */
type Part = string | { readonly link: string };

/** The mail with the link that turns a pending account into an active one. The link leads to a page; only its button activates. */
export function activationMail(about: { readonly email: string; readonly link: string; readonly validHours: number }): Letter {
  return compose('Activate your findtoken account', [
    `Somebody, most likely you, asked for a findtoken account for ${about.email}.`,
    'Open this address and press the button to activate it:',
    { link: about.link },
    `The link works once, within ${about.validHours} hours. If it was not you, do nothing: without it the account stays closed.`,
  ]);
}

/**
 * The notice that credits are about to expire.
 * @param about `days` until then, as the notice is written, rounded to whole days; `expiresMs` is told as a day in UTC.
 */
export function expiryMail(about: { readonly email: string; readonly publicUrl: string; readonly credits: UsdE8; readonly expiresMs: number; readonly idleSinceMs: number; readonly days: number; readonly expiryDays: number }): Letter {
  const when = about.days === 1 ? 'in 1 day' : `in ${about.days} days`;
  return compose(`Your findtoken credits expire ${when}`, [
    `The account ${about.email} at ${about.publicUrl} has $${formatUsd(about.credits)} in credits and has not been used since ${dayOf(about.idleSinceMs)}.`,
    `Credits expire after ${about.expiryDays} days without activity: these on ${dayOf(about.expiresMs)}.`,
    'To keep them, make a request with your API key or recharge before that day; either starts the time anew.',
  ]);
}

/** The notice that an account without credits was closed for want of use. */
export function deactivationMail(about: { readonly email: string; readonly publicUrl: string; readonly idleSinceMs: number }): Letter {
  return compose('Your findtoken account was deactivated', [
    `The account ${about.email} at ${about.publicUrl} has no credits and has not been used since ${dayOf(about.idleSinceMs)}, twelve months ago or more. It was deactivated.`,
    'Its keys and its history are kept. If you want to use it again, ask the operator to activate it.',
  ]);
}

/** `2026-11-23 (UTC)`. */
function dayOf(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 10)} (UTC)`;
}

/** The same words as text and as HTML, which has no pictures, no scripts and nothing that is fetched. */
function compose(subject: string, parts: readonly Part[]): Letter {
  const text = parts.map((part) => (typeof part === 'string' ? part : part.link)).join('\n\n');
  const html = parts.map((part) => {
    if (typeof part === 'string') return `<p>${escapeHtml(part)}</p>`;
    const link = escapeHtml(part.link);
    return `<p><a href="${link}" rel="noreferrer">${link}</a></p>`;
  });
  return {
    subject,
    text: `${text}\n`,
    html: `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(subject)}</title></head>\n<body style="font-family: sans-serif; max-width: 36em">\n${html.join('\n')}\n</body></html>\n`,
  };
}
