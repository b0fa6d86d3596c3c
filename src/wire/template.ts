import { parseJson } from './json.ts';
import { fromUtf8, isAscii } from './utf8.ts';

/** Templates kept, one a choice and field; more choices than that take the long way. */
const TEMPLATES_MAX = 8;
/** A provider that changes something else in each frame is not worth learning from. */
const LESSONS_MAX = 32;
const SLOT = 'findtoken.slot';
/** The inside of a JSON string that means itself. */
// oxlint-disable-next-line no-control-regex
const PLAIN = /^[^"\\\u0000-\u001f]+$/;

interface Template {
  readonly before: string;
  readonly after: string;
  readonly outBefore: string;
  readonly outAfter: string;
  /** The same around an event's bytes, made when it is first asked for; `none` where a byte and a character are not the same. */
  lines: Lines | 'none' | undefined;
}

/** What stands before the text of an event, between the texts of two that follow each other, and after the text, as it comes and as it goes. */
interface Lines {
  readonly head: string;
  readonly link: string;
  readonly tail: string;
  readonly outHead: string;
  readonly outLink: string;
  readonly outTail: string;
}

/** A frame that differed from a known one in its piece of text only. */
export interface Filled {
  /** What the client gets, as JSON text. */
  readonly chunk: string;
  /** The piece of text. */
  readonly text: string;
}

/** Events in a row that each differed from one known frame in their pieces of text only. */
export interface FilledRun {
  /** What the client gets: whole events, one character a byte. */
  readonly bytes: string;
  /** The pieces of text that mean themselves, joined, one character a byte. */
  readonly plain: string;
  /** The pieces of text that were written with escapes, joined. */
  readonly escaped: string;
  /** Where the run ends. */
  readonly end: number;
}

/**
 * Rewrites the frames of a stream without parsing them, as long as they differ in one piece of text only.
 *
 * A frame that went the long way is taken as a template: all before and all after its text, and what became of them. A later
 * frame that begins and ends byte for byte alike, with the inside of one JSON string between, must come out alike. Anything
 * else does not fit, and goes the long way.
 *
 *     {"id":"1","model":"up","choices":[{"delta":{"content":"  Hello  "},"finish_reason":null}]}
 *     └──────────────────── before ────────────────────────┘└ text ┘└─────────── after ───────┘
 */
export class Templates {
  #templates: Template[] = [];
  #lessons = 0;

  /** The chunk for a frame that fits a template; undefined if it must go the long way. */
  fill(frame: string): Filled | undefined {
    for (const { before, after, outBefore, outAfter } of this.#templates) {
      const end = frame.length - after.length;
      // Compared as pieces: `startsWith` goes through a piece of a larger text one character at a time, at five times the cost.
      if (end <= before.length || frame.slice(0, before.length) !== before || frame.slice(end) !== after) continue;
      const inside = frame.slice(before.length, end);
      const text = PLAIN.test(inside) ? inside : parseJson(`"${inside}"`);
      if (typeof text === 'string') return { chunk: outBefore + inside + outAfter, text };
    }
    return undefined;
  }

  /**
   * The same for events as they came, as many as fit one template from `at` on; undefined where not even the first fits.
   * @param bytes whole events in valid UTF-8, one character a byte; an event begins at `at`
   */
  fillRun(bytes: string, at: number): FilledRun | undefined {
    for (const template of this.#templates) {
      const lines = (template.lines ??= linesOf(template));
      if (lines === 'none' || bytes.slice(at, at + lines.head.length) !== lines.head) continue;
      const run = fillLines(lines, bytes, at);
      if (run !== undefined) return run;
    }
    return undefined;
  }

  /**
   * Takes a frame as a template, if its field can be told apart in the text.
   * @param rewrite the long way, without any trace: the chunk for a frame and the text of its field
   */
  learn(frame: string, field: string, rewrite: (frame: string) => { readonly chunk: string; readonly text: string } | undefined): void {
    if (this.#lessons >= LESSONS_MAX || frame.includes(SLOT)) return;
    this.#lessons += 1;
    const place = placeOf(frame, field);
    if (place === undefined) return;
    const [from, to] = place;
    const before = frame.slice(0, from);
    const after = frame.slice(to);
    const rewritten = rewrite(before + SLOT + after);
    const out = rewritten?.text === SLOT ? rewritten.chunk.split(SLOT) : [];
    const [outBefore, outAfter] = out;
    if (outBefore === undefined || outAfter === undefined || out.length !== 2) return;
    this.#templates = [{ before, after, outBefore, outAfter, lines: undefined }, ...this.#templates].slice(0, TEMPLATES_MAX);
  }
}

/** None for a template whose bytes are not its characters, or that spans lines. */
function linesOf({ before, after, outBefore, outAfter }: Template): Lines | 'none' {
  if (!isAscii(before + after + outBefore + outAfter) || before.includes('\n') || after.includes('\n')) return 'none';
  const [head, tail, outHead, outTail] = [`data: ${before}`, `${after}\n\n`, `data: ${outBefore}`, `${outAfter}\n\n`];
  return { head, link: tail + head, tail, outHead, outLink: outTail + outHead, outTail };
}

/** The run of events that fit from `at` on, the first of which is known to begin alike. */
function fillLines({ head, link, tail, outHead, outLink, outTail }: Lines, bytes: string, at: number): FilledRun | undefined {
  let out = outHead;
  let plain = '';
  let escaped = '';
  let end = at;
  for (let from = at + head.length; ; ) {
    let to = bytes.indexOf('"', from);
    // Nearly always the next event follows at once, and begins alike: then one comparison tells both.
    const isLinked = to > from && bytes.slice(to, to + link.length) === link;
    if (!isLinked) {
      to = bytes.indexOf('\n', from) + 2 - tail.length;
      if (to <= from || bytes.slice(to, to + tail.length) !== tail) break;
    }
    const inside = bytes.slice(from, to);
    if (PLAIN.test(inside)) plain += inside;
    else {
      const text = parseJson(`"${fromUtf8(inside)}"`);
      if (typeof text !== 'string') break;
      escaped += text;
    }
    out += end === at ? inside : outLink + inside;
    end = to + tail.length;
    if (!isLinked && bytes.slice(end, end + head.length) !== head) break;
    from = end + head.length;
  }
  return end === at ? undefined : { bytes: out + outTail, plain, escaped, end };
}

/** From where to where the inside of a field's string goes, where the field first stands. Whether it is the right one shows when it is rewritten. */
function placeOf(frame: string, field: string): readonly [number, number] | undefined {
  const name = `"${field}":`;
  const at = frame.indexOf(name);
  if (at === -1) return undefined;
  let from = at + name.length;
  while (frame.charAt(from) === ' ') from += 1;
  if (frame.charAt(from) !== '"') return undefined;
  from += 1;
  for (let to = from; to < frame.length; to += 1) {
    const character = frame.charAt(to);
    if (character === '"') return [from, to];
    if (character === '\\') to += 1;
  }
  return undefined;
}
