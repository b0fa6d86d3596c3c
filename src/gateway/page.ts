import { escapeHtml } from '../mail/index.ts';
import type { Answer } from './types.ts';

/** The one style of all pages. */
export const PAGE_STYLE = 'body{font:16px/1.5 system-ui,sans-serif;color-scheme:light dark;max-width:36em;margin:12vh auto;padding:0 1em}code{overflow-wrap:anywhere}button{font:inherit;padding:.5em 2em}';
/** SHA-256 of it, which alone the policy lets in; a test holds the two together. */
export const PAGE_STYLE_HASH = 'sha256-BcvVuSk9aznyX/YI7LiW5Dh1J8P06Ii0Rfsx9dkGaKs=';

/** A word to people: a paragraph, something to be copied, or ready HTML of ours. */
export type PagePart = string | { readonly code: string } | { readonly html: string };

export interface PageOptions {
  readonly status?: number;
  /** A page whose button must show its origin says `same-origin`; every other one may bear a secret in its address, and says nothing. */
  readonly referrer?: 'no-referrer' | 'same-origin';
}

/** A page for people, without scripts, pictures, or anything that is fetched; nothing keeps it. */
export function page(title: string, parts: readonly PagePart[], { status = 200, referrer = 'no-referrer' }: PageOptions = {}): Answer {
  const name = escapeHtml(title);
  const body = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex"><title>${name} · findtoken</title><style>${PAGE_STYLE}</style></head>
<body><main><h1>${name}</h1>
${parts.map(partHtml).join('\n')}
</main></body></html>
`;
  return {
    status,
    body,
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': `default-src 'none'; style-src '${PAGE_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
      'referrer-policy': referrer,
    },
  };
}

function partHtml(part: PagePart): string {
  if (typeof part === 'string') return `<p>${escapeHtml(part)}</p>`;
  return 'code' in part ? `<p><code>${escapeHtml(part.code)}</code></p>` : part.html;
}
