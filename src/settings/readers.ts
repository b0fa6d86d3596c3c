import { isAbsolute, join, resolve } from 'node:path';
import { parseRate, parseUsd, formatUsd } from '../money/index.ts';
import type { Ppm, UsdE8 } from '../money/index.ts';
import type { MasterKeySource } from './types.ts';

/** What relative paths and `~` are taken from. */
export interface Surroundings {
  readonly home: string;
  /** The folder of findtoken.yaml, or the working directory without one. */
  readonly folder: string;
}

/** Turns what is written into a value in its unit; undefined refuses it. */
export interface Reader<T> {
  /** Completes "expected …" in a refusal. */
  readonly expects: string;
  readonly read: (written: unknown, around: Surroundings) => T | undefined;
}

/** A whole number between two bounds, both allowed. Digits in a text are a number too, for environment variables are texts. */
export function whole(least: number, most: number): Reader<number> {
  return {
    expects: `a whole number from ${least} to ${most}`,
    read: (written) => {
      const number = typeof written === 'string' && /^\d{1,15}$/.test(written.trim()) ? Number(written) : written;
      return typeof number === 'number' && Number.isInteger(number) && number >= least && number <= most ? number : undefined;
    },
  };
}

/** `20971520`, `512KiB` or `20MiB`, in bytes. */
export function bytes(least: number, most: number): Reader<number> {
  const plain = whole(least, most);
  return {
    expects: `a number of bytes from ${least} to ${most}, or of KiB or MiB`,
    read: (written, around) => {
      const match = typeof written === 'string' ? /^(\d{1,9})\s*(KiB|MiB)$/.exec(written.trim()) : null;
      return plain.read(match === null ? written : Number(match[1]) * (match[2] === 'KiB' ? 1_024 : 1_048_576), around);
    },
  };
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** `500ms`, `30s`, `2m` or `1h`, in milliseconds. A plain number is refused, for it does not say its unit. */
export function duration(leastMs: number, mostMs: number): Reader<number> {
  return {
    expects: `a time with its unit (ms, s, m or h) from ${spell(leastMs)} to ${spell(mostMs)}`,
    read: (written) => {
      const match = typeof written === 'string' ? /^(\d{1,9})\s*(ms|s|m|h)$/.exec(written.trim()) : null;
      if (match === null) return undefined;
      const ms = Number(match[1]) * (UNITS_MS[match[2] ?? ''] ?? NaN);
      return ms >= leastMs && ms <= mostMs ? ms : undefined;
    },
  };
}

const DAY_MS = 86_400_000;
/** More than any claim of a client on its request's row: an `Idempotency-Key` stands for a day. */
const KEEPING_DAYS = { least: 7, most: 36_500 } as const;

/** `forever`, which is Infinity, or days such as `400d`, in milliseconds. */
export const keeping: Reader<number> = {
  expects: `forever, or days from ${KEEPING_DAYS.least}d to ${KEEPING_DAYS.most}d`,
  read: (written) => {
    if (written === 'forever') return Infinity;
    const match = typeof written === 'string' ? /^(\d{1,5})\s*d$/.exec(written.trim()) : null;
    const days = Number(match?.[1] ?? NaN);
    return days >= KEEPING_DAYS.least && days <= KEEPING_DAYS.most ? days * DAY_MS : undefined;
  },
};

function spell(ms: number): string {
  const [unit, size] = Object.entries(UNITS_MS).findLast(([, size]) => ms % size === 0 && ms >= size) ?? ['s', 1_000];
  return `${ms / size}${unit}`;
}

/** `5.5%` or `5.5`, as parts per million. */
export const percent: Reader<Ppm> = {
  expects: 'a percentage from 0 % to 100 % with at most 4 decimals',
  read: (written) => exactly(parseRate, written),
};

/** US dollars, at least the least. */
export function dollars(least: UsdE8): Reader<UsdE8> {
  return {
    expects: `US dollars, at least ${formatUsd(least)}`,
    read: (written) => {
      const amount = exactly(parseUsd, written);
      return amount === undefined || amount < least ? undefined : amount;
    },
  };
}

export const flag: Reader<boolean> = {
  expects: 'true or false',
  read: (written) => (written === true || written === 'true' ? true : written === false || written === 'false' ? false : undefined),
};

export function oneOf<T extends string>(...words: readonly T[]): Reader<T> {
  return { expects: `one of ${words.join(', ')}`, read: (written) => words.find((word) => word === written) };
}

/** A host name or an address, without scheme, path or blanks. */
export const host: Reader<string> = {
  expects: 'a host name or an IP address, without scheme and port',
  read: (written) => matching(/^(?:[\w.-]+|[0-9a-f]*:[0-9a-f:.%\w]*)$/i, written),
};

export const mailAddress: Reader<string> = {
  expects: 'a mail address',
  read: (written) => matching(/^(?:[^<>@\r\n]*<)?[^\s<>@]+@[^\s<>@]+>?$/, written),
};

/** Printable characters without blanks, or nothing: a line break inside a key would break the header that bears it. */
export const secret: Reader<string> = {
  expects: 'a text without blanks and line breaks',
  read: (written) => (typeof written === 'string' && /^[\x21-\x7e]*$/.test(written.trim()) ? written.trim() : undefined),
};

export const smtpUrl: Reader<string> = {
  expects: 'an address such as smtp://user:password@mail.example.com:587, or nothing',
  read: (written) => (written === '' ? '' : parseUrl(written, ['smtp:', 'smtps:']) === undefined ? undefined : String(written).trim()),
};

/** An http or https address without user, password, query and fragment; slashes at its end are trimmed. */
export const webAddress: Reader<string> = {
  expects: 'an http or https address without user, password, query and fragment',
  read: (written) => {
    const url = parseUrl(written, ['http:', 'https:']);
    if (url === undefined || url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') return undefined;
    return `${url.origin}${url.pathname}`.replace(/\/+$/, '');
  },
};

/** The daemon's own address. Who writes its OpenAI base URL means the same: links that lead below `/v1` would lead nowhere. */
export const publicAddress: Reader<string> = {
  expects: webAddress.expects,
  read: (written, around) => webAddress.read(written, around)?.replace(/\/+v1$/, ''),
};

/** `https://api.stripe.com`: a server that is called, by scheme, host and port alone. */
export const webServer: Reader<string> = {
  expects: 'an http or https address without a path',
  read: (written, around) => {
    const address = webAddress.read(written, around);
    return address !== undefined && new URL(address).origin === address ? address : undefined;
  },
};

/** A scheme of a program's own, as desktop programs that are web pages and browser extensions have it; the rest as it comes, for browsers do not change it. */
const OWN_ORIGIN = /^(?!https?:|file:)[a-z][a-z0-9+.-]*:\/\/[\w.-]+(?::\d{1,5})?$/;

/** `https://app.example.com` or `app://obsidian.md`: what a browser sends as Origin. */
export const webOrigin: Reader<string> = {
  expects: 'a web origin, scheme and host without a path',
  read: (written, around) => {
    if (typeof written === 'string' && OWN_ORIGIN.test(written.trim())) return written.trim();
    return webServer.read(written, around);
  },
};

/** A file: `~` is the home folder, and a relative path starts at findtoken.yaml's folder. */
export const file: Reader<string> = {
  expects: 'the path of a file',
  read: (written, around) => (typeof written === 'string' && written.trim() !== '' && !written.includes('\0') ? expand(written.trim(), around) : undefined),
};

export const masterKey: Reader<MasterKeySource> = {
  expects: 'auto, keychain, file:/path or env:NAME',
  read: (written, around) => {
    if (written === 'auto' || written === 'keychain') return { kind: written };
    const match = typeof written === 'string' ? /^(file|env):(.+)$/.exec(written.trim()) : null;
    const rest = match?.[2] ?? '';
    if (match?.[1] === 'file') return { kind: 'file', path: expand(rest, around) };
    return /^[A-Za-z_][A-Za-z0-9_]*$/.test(rest) ? { kind: 'env', name: rest } : undefined;
  },
};

/** A list of such values; one value alone is refused, so that a list is always seen to be one. */
export function listOf<T>(item: Reader<T>, least = 0): Reader<readonly T[]> {
  return {
    expects: `a list${least > 0 ? ` of at least ${least}` : ''}, each ${item.expects}`,
    read: (written, around) => {
      if (!Array.isArray(written) || written.length < least) return undefined;
      const items = written.map((one: unknown) => item.read(one, around));
      return items.every((one) => one !== undefined) ? items : undefined;
    },
  };
}

function expand(path: string, { home, folder }: Surroundings): string {
  if (path === '~' || path.startsWith('~/')) return join(home, path.slice(1));
  return isAbsolute(path) ? path : resolve(folder, path);
}

function matching(pattern: RegExp, written: unknown): string | undefined {
  return typeof written === 'string' && pattern.test(written.trim()) ? written.trim() : undefined;
}

function parseUrl(written: unknown, schemes: readonly string[]): URL | undefined {
  if (typeof written !== 'string' || !URL.canParse(written)) return undefined;
  const url = new URL(written);
  return schemes.includes(url.protocol) && url.hostname !== '' ? url : undefined;
}

/** Calls a reader of `money`, whose RangeError is our undefined. */
function exactly<T>(parse: (written: string | number) => T, written: unknown): T | undefined {
  if (typeof written !== 'string' && typeof written !== 'number') return undefined;
  try {
    return parse(written);
  } catch (refusal) {
    if (refusal instanceof RangeError) return undefined;
    throw refusal;
  }
}
