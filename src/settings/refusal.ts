/**
 * findtoken.yaml, the environment or the command line is at fault.
 * The message is one line, `file:line:col: key: what is wrong. The mend.`, and never bears a secret.
 */
export class SettingsError extends Error {
  /** The option at fault, such as `--host`; undefined where it is the file or the environment. */
  readonly option: string | undefined;

  constructor(message: string, option?: string) {
    super(hideKeys(message));
    this.name = 'SettingsError';
    this.option = option;
  }
}

/** What looks like a key is hidden wherever it stands, for a key in the wrong place is still a secret. */
const KEY_LIKE = /\b(?:sk|rk|pk|whsec)[-_][\w.-]{8,}/g;

/** A text without what looks like a key in it. `hideKeys('sk-0123456789abcdef')` is `…`. */
export function hideKeys(text: string): string {
  return text.replace(KEY_LIKE, '…');
}

/** A value as a refusal quotes it: short, on one line. */
export function quoted(value: unknown): string {
  if (value === undefined || value === null || value === '') return 'nothing';
  if (typeof value === 'object' && !Array.isArray(value)) return 'a mapping';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 59)}…` : text;
}

/** A secret as a screen may show it: its public prefix and, of a long one, the last four characters. `sk-…1234`; nothing stays "". */
export function mask(secret: string): string {
  if (secret === '') return '';
  const prefix = /^(?:sk-|[sr]k_(?:live|test)_|whsec_|smtps?:\/\/)/.exec(secret)?.[0] ?? '';
  const tail = secret.length >= 16 && !prefix.startsWith('smtp') ? secret.slice(-4) : '';
  return `${prefix}…${tail}`;
}
