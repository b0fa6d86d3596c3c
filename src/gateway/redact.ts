/** As many characters in a row of a key are no chance. */
const SHARED = 8;
/** What begins the keys of many people alike: `sk-`, `sk-proj-`, `sk-ant-api03-`, `sk-or-v1-`. */
const COMMON_START = /^(?:sk|pk|rk|ak|api|key)[-_](?:(?:[a-z]{2,8}|v\d{1,2}|api\d{2})[-_]){0,3}/;
/** A character that was written for an address, once or several times over: `%2d`, `%252D`. */
const ESCAPED = /%(?:25)*([0-9a-f]{2})/iy;

/** `sk-` and what follows, each character as it is or written for an address. */
const KEY_IN_PATH = /(?:s|%(?:25)*[57]3)(?:k|%(?:25)*[46]b)(?:-|%(?:25)*2d)(?:[\w-]|%(?:25)*[0-9a-f]{2}){8,}/gi;

/** A text as it is searched: a character each, in lower case, with where it stands in the text as it came. */
interface Searched {
  readonly text: string;
  /** One more than there are characters: the end of the text comes last. */
  readonly starts: readonly number[];
}

/** A key as it may stand in a text. */
interface Form {
  readonly text: string;
  /** So many of its first characters say nothing of the key. */
  readonly common: number;
}

/**
 * The first `charsMax` characters of a text, `[key]` in place of each run that shares 8 or more characters in a row with the secret (the
 * whole secret, where it is shorter): in any case, percent-encoded or not, and likewise of its base64, base64url and hex. What begins the
 * keys of many (`sk-proj-`) is no such run by itself. What stands behind the cut is looked at too, so that no key is cut before it is seen.
 * With `sk-abcdefghijkl`, `bad key sk-abcdefg****` gives `bad key [key]****`.
 */
export function redacted(text: string, secret: string, charsMax: number): string {
  if (secret === '') return cut(text, charsMax);
  const searched = searchedOf(text);
  const hidden = hiddenIn(searched.text, formsOf(secret));
  let said = '';
  for (let at = 0; at < hidden.length; ) {
    const isHidden = hidden[at] === true;
    let end = at + 1;
    while (end < hidden.length && hidden[end] === isHidden) end += 1;
    const [from, to] = [searched.starts[at] ?? 0, searched.starts[end] ?? text.length];
    if (from >= charsMax) break;
    said += isHidden ? '[key]' : text.slice(from, Math.min(to, charsMax));
    at = end;
  }
  return text.length > charsMax ? `${said}…` : said;
}

/** A request's path without the keys that somebody put into it, percent-encoded or not. `/v1/keys/sk%2dft_0123abcd` gives `/v1/keys/sk-…`. */
export function pathToLog(path: string): string {
  return path.includes('%') || path.includes('sk-') ? path.replace(KEY_IN_PATH, 'sk-…') : path;
}

function cut(text: string, charsMax: number): string {
  return text.length > charsMax ? `${text.slice(0, charsMax)}…` : text;
}

function searchedOf(raw: string): Searched {
  const starts: number[] = [];
  let text = '';
  for (let at = 0; at < raw.length; ) {
    starts.push(at);
    ESCAPED.lastIndex = at;
    const escape = raw[at] === '%' ? ESCAPED.exec(raw) : null;
    text += escape === null ? raw[at] : String.fromCharCode(Number.parseInt(escape[1] ?? '', 16));
    at += escape === null ? 1 : escape[0].length;
  }
  starts.push(raw.length);
  return { text: lower(text), starts };
}

/** Only ASCII, for there a text keeps its length. */
function lower(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase());
}

/** The secret itself, its hex, and its base64 wherever it begins within a group of three bytes: alone, or behind `Bearer ` or `name:`. */
function formsOf(secret: string): readonly Form[] {
  const common = COMMON_START.exec(secret)?.[0].length ?? 0;
  const hex = Buffer.from(secret).toString('hex');
  const base64 = [0, 1, 2].flatMap((before) => {
    const bytes = Buffer.from('\0'.repeat(before) + secret);
    // Those that also say something of the bytes before.
    const foreign = before === 0 ? 0 : before + 1;
    return (['base64', 'base64url'] as const).map((form) => ({ text: bytes.toString(form).replace(/=+$/, '').slice(foreign), common: Math.ceil(((before + common) * 8) / 6) - foreign }));
  });
  const others = [{ text: hex, common: 2 * common }, ...base64].filter((form) => form.text.length >= SHARED);
  return [{ text: secret, common }, ...others].map((form) => ({ text: lower(form.text), common: form.common }));
}

/** Which characters of a text belong to a run that it shares with one of the forms. */
function hiddenIn(text: string, forms: readonly Form[]): readonly boolean[] {
  const hidden = Array.from({ length: text.length }, () => false);
  const pieces = new Map<number, Set<string>>();
  for (const form of forms) {
    const length = Math.min(SHARED, form.text.length);
    // A secret that is all beginning is told by the whole of it.
    const first = form.text.length <= form.common ? 0 : Math.max(0, form.common - length + 1);
    const known = pieces.get(length) ?? new Set();
    pieces.set(length, known);
    for (let at = first; at + length <= form.text.length; at += 1) known.add(form.text.slice(at, at + length));
  }
  for (const [length, known] of pieces) {
    for (let at = 0; at + length <= text.length; at += 1) {
      if (known.has(text.slice(at, at + length))) hidden.fill(true, at, at + length);
    }
  }
  return hidden;
}
