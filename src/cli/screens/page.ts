import { Writable } from 'node:stream';

const ESCAPES = {
  enter: '\x1b[?1049h\x1b[?25l\x1b[2J\x1b[H',
  leave: '\x1b[?25h\x1b[?1049l',
  /** Terminals that know it show what stands between the two at once; others ignore it. */
  begin: '\x1b[?2026h',
  end: '\x1b[?2026l',
  clear: '\x1b[2J\x1b[H',
} as const;

/** The terminal's other page, on which whole frames are painted. */
export interface Page {
  /** What Ink renders to: each write is a whole frame. */
  readonly stdout: NodeJS.WriteStream;
  /** Paints the next frame anew, for what a page of another size left behind is no part of it. */
  forget(): void;
  /** Goes back to the first page, as it was; once. */
  leave(): void;
}

/**
 * Goes to the other page. Only lines that have changed are written. Ink's own way of painting is not used: it clears the page
 * where a frame fills it, and draws nothing under a CI variable.
 */
export function openPage(terminal: Pick<NodeJS.WriteStream, 'write' | 'columns' | 'rows'>): Page {
  let painted: readonly string[] = [];
  let isOpen = true;
  terminal.write(ESCAPES.enter);
  const paint = (frame: string): void => {
    const lines = frame.split('\n');
    const changed = lines.flatMap((line, index) => (line === painted[index] ? [] : [`\x1b[${index + 1};1H${line}\x1b[0m\x1b[K`]));
    const gone = painted.slice(lines.length).map((_, index) => `\x1b[${lines.length + index + 1};1H\x1b[K`);
    if (isOpen && changed.length + gone.length > 0) terminal.write(`${ESCAPES.begin}${changed.join('')}${gone.join('')}${ESCAPES.end}`);
    painted = lines;
  };
  const sink = new Writable({
    decodeStrings: false,
    write: (chunk: unknown, _encoding, done) => {
      if (typeof chunk === 'string') paint(chunk);
      done();
    },
  });
  return {
    stdout: sized(sink, terminal),
    forget: () => {
      painted = [];
      terminal.write(ESCAPES.clear);
    },
    leave: () => {
      if (isOpen) terminal.write(ESCAPES.leave);
      isOpen = false;
    },
  };
}

/** Ink asks its output for its size at every frame. */
function sized(sink: Writable, terminal: Pick<NodeJS.WriteStream, 'columns' | 'rows'>): NodeJS.WriteStream {
  Object.defineProperties(sink, { columns: { get: () => terminal.columns }, rows: { get: () => terminal.rows } });
  return sink as NodeJS.WriteStream;
}
