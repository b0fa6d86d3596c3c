import { Writable } from 'node:stream';
import { stripVTControlCharacters } from 'node:util';

/** Erases what has scrolled out of sight. Ink does so where a frame fills the terminal, and it is not ours. */
const ERASE_HISTORY = '\x1b[3J';

/** A terminal that a screen shares with what stands above it. */
export interface Below {
  /** What Ink renders to. */
  readonly stdout: NodeJS.WriteStream;
  /** Ends the last line, which Ink leaves open where a frame fills the terminal; once. */
  leave(): void;
}

type Shared = Pick<NodeJS.WriteStream, 'write' | 'columns' | 'rows'> & Pick<NodeJS.EventEmitter, 'on' | 'off'>;

/** Passes on what Ink writes, but for what would erase lines that stood there before. */
export function openBelow(terminal: Shared): Below {
  let isLineOpen = false;
  const sink = new Writable({
    decodeStrings: false,
    write: (chunk: unknown, _encoding, done) => {
      const text = String(chunk).replaceAll(ERASE_HISTORY, '');
      const shown = stripVTControlCharacters(text);
      if (shown !== '') isLineOpen = !shown.endsWith('\n');
      terminal.write(text);
      done();
    },
  });
  Object.defineProperties(sink, { isTTY: { value: true }, columns: { get: () => terminal.columns }, rows: { get: () => terminal.rows } });
  const resized = (): void => void sink.emit('resize');
  terminal.on('resize', resized);
  return {
    stdout: sink as NodeJS.WriteStream,
    leave: () => {
      terminal.off('resize', resized);
      if (isLineOpen) terminal.write('\n');
      isLineOpen = false;
    },
  };
}
